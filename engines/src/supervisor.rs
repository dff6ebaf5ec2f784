//! Keeps one engine running: a thread of its own that starts it, restarts it when it dies, and stops it.

use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::EngineError;
use crate::process::{Launch, Running};

/// The shortest and the longest pause before a dead engine is started again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// An engine that ran this long had recovered; its next death starts at the shortest pause.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// How often an engine that starts is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long an engine may take to be ready. Postgres replays its write-ahead log here after a crash.
const READY_WITHIN: Duration = Duration::from_secs(600);
/// How often a long start is reported.
const STARTING_REPORT: Duration = Duration::from_secs(10);
/// How often a first start is tried with other settings (another port).
const FIRST_STARTS_MAX: u32 = 10;
/// Orders that may wait; an order is answered before its caller gives the next one.
const ORDERS_MAX: usize = 4;

/// What an engine does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineState {
    /// It is being started, or died and will be started again.
    Starting,
    /// It is ready; with its process id.
    Running(u32),
    /// It was stopped on purpose.
    Stopped,
}

/// How to run one kind of engine.
pub(crate) trait Engine: Send + 'static {
    /// The name in messages.
    const NAME: &'static str;
    /// How to stop it: signals and the time that each may take.
    const STOP: &'static [(Signal, Duration)];

    /// Removes what a killed one left behind, writes the settings, and says what to start.
    async fn prepare(&mut self) -> Result<Launch, EngineError>;
    /// Ends what `prepare` had under way when it was given up.
    async fn abandon(&mut self);
    /// Whether it answers now.
    async fn is_ready(&mut self) -> bool;
    /// What must be done once it answers.
    async fn settle(&mut self) -> Result<(), EngineError>;
    /// Whether it can be seen to be ending, after a signal of `STOP`.
    fn is_ending(&self) -> bool {
        false
    }
    /// Whether a first start that ended with this log deserves another one with other settings.
    fn try_otherwise(&mut self, log_tail: &str) -> bool;
    /// Its address for clients; fixed from the first successful start on.
    fn url(&self) -> String;
}

/// An order to the thread; answered when it is carried out.
enum Order {
    Stop(oneshot::Sender<()>),
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only tests kill their engines"))]
    Kill(oneshot::Sender<()>),
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only tests start an engine again"))]
    Start(oneshot::Sender<Result<(), EngineError>>),
}

/// A supervised engine. Dropping it stops the engine, within the bounds of `Engine::STOP`.
#[derive(Debug)]
pub(crate) struct Supervised {
    name: &'static str,
    url: String,
    state: watch::Receiver<EngineState>,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Supervised {
    /// Starts the engine on a thread of its own and waits until it is ready.
    ///
    /// The thread is what the kernel's parent-death signal looks at: it must not be one of a pool.
    pub(crate) async fn start<E: Engine>(engine: E) -> Result<Supervised, EngineError> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (state_writer, state) = watch::channel(EngineState::Starting);
        let (started, outcome) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name(E::NAME.to_owned())
            .spawn(move || run(engine, state_writer, inbox, started))
            .map_err(EngineError::io("could not start a thread for", E::NAME))?;
        // From here on the engine has an owner: a caller that goes away drops it, which stops the engine.
        let (orders, thread) = (Some(orders), Some(thread));
        let mut supervised = Supervised { name: E::NAME, url: String::new(), state, orders, thread };
        supervised.url = outcome.await.map_err(|_| EngineError::Stopped { engine: E::NAME })??;
        Ok(supervised)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn state(&self) -> watch::Receiver<EngineState> {
        self.state.clone()
    }

    /// Stops the engine and waits for that.
    pub(crate) async fn stop(&self) -> Result<(), EngineError> {
        self.order(Order::Stop).await
    }

    /// Kills the engine and leaves it dead.
    #[cfg(feature = "testing")]
    pub(crate) async fn kill(&self) -> Result<(), EngineError> {
        self.order(Order::Kill).await
    }

    /// Starts an engine that was stopped or killed.
    #[cfg(feature = "testing")]
    pub(crate) async fn start_again(&self) -> Result<(), EngineError> {
        self.order(Order::Start).await?
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, EngineError> {
        let stopped = || EngineError::Stopped { engine: self.name };
        let (answer, answered) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(stopped)?;
        orders.send(order(answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Without anyone to give orders the thread stops the engine and ends.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// The thread: a small runtime that drives the engine until its owner lets go.
fn run<E: Engine>(
    engine: E,
    state: watch::Sender<EngineState>,
    inbox: mpsc::Receiver<Order>,
    started: oneshot::Sender<Result<String, EngineError>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(EngineError::io("could not start a runtime for", E::NAME)) {
        Ok(runtime) => {
            let keeper = Keeper { engine, state, starting: None };
            runtime.block_on(supervise(keeper, inbox, started));
        }
        Err(error) => drop(started.send(Err(error))),
    }
}

/// The engine with the place where its state is shown.
struct Keeper<E> {
    engine: E,
    state: watch::Sender<EngineState>,
    /// The process while it starts; kept here so that it can be stopped when the start is given up.
    starting: Option<Running>,
}

/// What the engine should be doing.
enum Situation {
    Up(Running, Instant),
    Down,
    Dead(Duration),
}

async fn supervise<E: Engine>(
    mut keeper: Keeper<E>,
    mut inbox: mpsc::Receiver<Order>,
    started: oneshot::Sender<Result<String, EngineError>>,
) {
    let mut pause = BACK_OFF.0;
    let first = tokio::select! {
        first = keeper.first_start() => Some(first),
        // No order can have been given yet, so this is the owner letting go.
        _ = inbox.recv() => None,
    };
    let mut situation = match first {
        Some(Ok(running)) => {
            // If nobody waits any more, the first look for orders tells.
            let _ = started.send(Ok(keeper.engine.url()));
            Situation::Up(running, Instant::now())
        }
        Some(Err(error)) => return drop(started.send(Err(error))),
        None => return keeper.give_up().await,
    };
    loop {
        situation = match situation {
            Situation::Up(mut running, since) => tokio::select! {
                order = inbox.recv() => match keeper.obey(order, Some(running)).await {
                    Some(next) => next,
                    None => return,
                },
                status = running.wait() => {
                    pause = if since.elapsed() > RECOVERED_AFTER { BACK_OFF.0 } else { pause };
                    tracing::error!(engine = E::NAME, %status, log = %running.log.display(),
                        "an engine has died; starting it again");
                    keeper.state.send_replace(EngineState::Starting);
                    Situation::Dead(pause)
                }
            },
            Situation::Down => match keeper.obey(inbox.recv().await, None).await {
                Some(next) => next,
                None => return,
            },
            Situation::Dead(wait) => tokio::select! {
                order = inbox.recv() => match keeper.obey(order, None).await {
                    Some(next) => next,
                    None => return,
                },
                () = sleep(wait) => {
                    pause = (pause * 2).min(BACK_OFF.1);
                    match keeper.start().await {
                        Ok(running) => Situation::Up(running, Instant::now()),
                        Err(error) => {
                            tracing::error!(engine = E::NAME, %error, "an engine could not be started again");
                            Situation::Dead(pause)
                        }
                    }
                }
            },
        };
    }
}

impl<E: Engine> Keeper<E> {
    /// Carries out one order. `None` when the owner has let go.
    async fn obey(&mut self, order: Option<Order>, running: Option<Running>) -> Option<Situation> {
        if let Some(Order::Start(answer)) = order {
            let (result, situation) = match running {
                Some(running) => (Ok(()), Situation::Up(running, Instant::now())),
                None => match self.start().await {
                    Ok(running) => (Ok(()), Situation::Up(running, Instant::now())),
                    Err(error) => (Err(error), Situation::Down),
                },
            };
            let _ = answer.send(result);
            return Some(situation);
        }
        if let Some(running) = running {
            let signals = if matches!(order, Some(Order::Kill(_))) { &[][..] } else { E::STOP };
            let status = running.stop(signals, || self.engine.is_ending()).await;
            tracing::debug!(engine = E::NAME, %status, "stopped");
        }
        self.state.send_replace(EngineState::Stopped);
        let (Some(Order::Stop(answer)) | Some(Order::Kill(answer))) = order else { return None };
        let _ = answer.send(());
        Some(Situation::Down)
    }

    async fn first_start(&mut self) -> Result<Running, EngineError> {
        let mut attempt = 1;
        loop {
            match self.start().await {
                Err(EngineError::Exited { tail, .. })
                    if attempt < FIRST_STARTS_MAX && self.engine.try_otherwise(&tail) =>
                {
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Starts the engine and waits until it answers and is set up.
    async fn start(&mut self) -> Result<Running, EngineError> {
        self.state.send_replace(EngineState::Starting);
        let launch = self.engine.prepare().await?;
        self.starting = Some(launch.start()?);
        let begun = Instant::now();
        let mut reported = begun;
        while !self.engine.is_ready().await {
            if let Some((status, ended)) = self.starting.as_mut().and_then(|it| Some((it.ended()?, it))) {
                let (log, tail) = (ended.log.clone(), ended.tail());
                self.starting = None;
                return Err(EngineError::Exited { engine: E::NAME, status, log, tail });
            }
            if begun.elapsed() > READY_WITHIN {
                self.give_up().await;
                let (seconds, log) = (READY_WITHIN.as_secs(), launch.log);
                return Err(EngineError::NotReady { engine: E::NAME, seconds, log });
            }
            if reported.elapsed() > STARTING_REPORT {
                reported = Instant::now();
                tracing::info!(engine = E::NAME, seconds = begun.elapsed().as_secs(), "still starting");
            }
            sleep(READY_POLL).await;
        }
        if let Err(error) = self.engine.settle().await {
            self.give_up().await;
            return Err(error);
        }
        let running = self.starting.take().ok_or(EngineError::Stopped { engine: E::NAME })?;
        self.state.send_replace(running.pid().map_or(EngineState::Starting, EngineState::Running));
        Ok(running)
    }

    /// Stops what was started but not finished.
    async fn give_up(&mut self) {
        match self.starting.take() {
            Some(running) => drop(running.stop(E::STOP, || self.engine.is_ending()).await),
            None => self.engine.abandon().await,
        }
    }
}

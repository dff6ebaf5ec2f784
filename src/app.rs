//! Puts the parts together: starts them in order, answers HTTP until told to stop, and stops them in order.

mod access;
mod actors;
mod audit;
mod banner;
mod engines;
mod guard;
mod health;
mod listen;
mod live;
mod packages;
mod parts;
mod reload;
mod routes;
mod signals;
mod smart;
mod subscriptions;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, web};
use anyhow::Context;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::api::{self, Guard, tell};
use crate::config::{ClientCertificate, Settings, Sources, TlsSettings};
use crate::telemetry::{Metrics, observe};
use crate::tls::{Tls, TlsFiles};

pub use health::{Check, Condition, Health};
pub use parts::{Addresses, Parts};
pub use routes::configure_routes;

pub(crate) use engines::{PrivateEngines, exposed};
use reload::Reloading;
use signals::Signals;

/// How often figures are folded (see [`Metrics::fold`]).
const FOLD_EVERY: Duration = Duration::from_secs(5);
/// How long parts may take to stop after the last request. Beyond it they are abandoned: the log is durable,
/// and everything else is made again from it.
const PARTS_STOP_WITHIN: Duration = Duration::from_secs(30);

/// What the process was given that is no setting.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The value of `PATH`.
    pub path: Option<OsString>,
    /// The value of `XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
}

/// Runs a server until a signal stops it. Builds the one runtime for I/O, on which everything but HTTP
/// workers and actors lives.
///
/// # Errors
/// A part cannot be started, or the server ends although nobody asked for that.
pub fn run(settings: Settings, sources: Sources, surroundings: Surroundings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("io")
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(serve(settings, sources, surroundings))
}

/// The life of a server, from its settings to its ordered end.
async fn serve(settings: Settings, sources: Sources, surroundings: Surroundings) -> anyhow::Result<()> {
    // As the port: a certificate that cannot be used is told before anything has been started.
    let tls = settings.http.tls.as_ref().map(tls).transpose()?;
    let guard = Guard::new(guard::options(&settings));
    let reloading = Reloading::listen(sources, guard.clone(), tls.clone())?;
    // The port first: when it is taken, the reason is told before anything has been started.
    let listener = listen::bind(settings.listen)?;
    let address = listener.local_addr().context("cannot tell the own address")?;
    let mut signals = Signals::listen()?;
    let metrics = Metrics::start()?;
    let started = async {
        let engines = PrivateEngines::start(&settings, &surroundings).await?;
        let parts = Parts::open(settings, engines.addresses.clone(), metrics.clone()).await?;
        anyhow::Ok((engines, Arc::new(parts)))
    };
    let (engines, parts) = tokio::select! {
        started = started => started?,
        // Giving up the start stops the engines that it has started.
        signal = signals.next() => {
            tracing::info!(signal, "told to stop while starting");
            return Ok(());
        }
    };
    let server = http(&parts, listener, guard, tls.as_deref())?;
    let handle = server.handle();
    banner::show(&parts, address);
    let outcome = run_until_told(server, &handle, (&mut signals, reloading), &parts).await;
    let stop = async {
        if timeout(PARTS_STOP_WITHIN, parts.close()).await.is_err() {
            tracing::warn!(seconds = PARTS_STOP_WITHIN.as_secs(), "a part did not stop in time");
        }
        engines.stop().await;
    };
    tokio::select! {
        () = stop => tracing::info!("stopped"),
        () = signals.force() => {}
    }
    outcome
}

/// The HTTP server on its own workers, each with a runtime of its own.
fn http(
    parts: &Arc<Parts>,
    listener: std::net::TcpListener,
    guard: Guard,
    tls: Option<&Tls>,
) -> anyhow::Result<Server> {
    let http = parts.settings().http.clone();
    let data = web::Data::from(Arc::clone(parts));
    let guard = web::Data::new(guard);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(guard.clone())
            .wrap(Compress::default())
            .wrap(from_fn(tell))
            .wrap(from_fn(api::guard))
            .wrap(from_fn(observe))
            .configure(|routes| configure_routes(routes, &data))
    });
    let server = server
        .workers(http.workers)
        .max_connections(http.connections_max.div_ceil(http.workers))
        .keep_alive(keep_alive(http.keep_alive_s))
        .client_request_timeout(Duration::from_secs(http.header_timeout_s))
        .tls_handshake_timeout(Duration::from_secs(http.header_timeout_s))
        .shutdown_timeout(http.shutdown_grace_s)
        .disable_signals();
    let server = match tls {
        None => server.listen(listener),
        Some(tls) => server.listen_rustls_0_23(listener, tls.config()?),
    };
    Ok(server.context("cannot answer HTTP")?.run())
}

/// TLS as it is configured.
fn tls(settings: &TlsSettings) -> anyhow::Result<Arc<Tls>> {
    let files = TlsFiles {
        certificate: settings.certificate.clone(),
        key: settings.key.clone(),
        client_ca: settings.client_ca.clone(),
        client_required: settings.client_certificate == ClientCertificate::Required,
    };
    Ok(Arc::new(Tls::open(files)?))
}

/// How long connections stay open between requests.
fn keep_alive(seconds: u64) -> KeepAlive {
    match seconds {
        // No timer; what has gone away without a word, the operating system finds out.
        0 => KeepAlive::Os,
        _ => KeepAlive::Timeout(Duration::from_secs(seconds)),
    }
}

/// Drives the server until a signal comes, then lets it answer what is under way. A second signal cuts it off.
async fn run_until_told(
    server: Server,
    handle: &ServerHandle,
    (signals, mut reloading): (&mut Signals, Reloading),
    parts: &Parts,
) -> anyhow::Result<()> {
    tokio::pin!(server);
    let mut fold = interval(FOLD_EVERY);
    fold.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let installing = packages::install_all(parts);
    tokio::pin!(installing);
    let mut is_installed = false;
    loop {
        tokio::select! {
            () = &mut installing, if !is_installed => is_installed = true,
            ended = &mut server => {
                ended.context("the HTTP server has failed")?;
                anyhow::bail!("the HTTP server has ended without being told to");
            }
            signal = signals.next() => {
                tracing::info!(signal, "stopping; once more to stop at once");
                break;
            }
            () = reloading.asked() => reloading.reload(parts).await,
            _ = fold.tick() => {
                reloading.certificates().await;
                parts.measure();
                parts.metrics().fold();
            }
        }
    }
    parts.services().stop_following();
    let drained = async { tokio::join!(handle.stop(true), &mut server).1 };
    tokio::select! {
        ended = drained => ended.context("the HTTP server has failed while it stopped"),
        () = signals.force() => Ok(()),
    }
}

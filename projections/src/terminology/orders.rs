//! The orders of large code systems that are kept between questions, and the lists that were picked out of them.
//!
//! An order is good as long as its system has the same parts, whatever else is written meanwhile. All of them together
//! take a bounded number of bytes, and one is read at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OnceCell, Semaphore};

use super::order::Order;
use super::picked::Picked;
use super::snapshot::Large;
use crate::ProjectionError;

/// Bytes of one order. That of 350,000 concepts takes some 10 MB. While it is read, it takes up to four times as many.
pub(super) const ORDER_BYTES_MAX: usize = 48 << 20;
/// Bytes of the lists out of one order: of 350,000 concepts some hundred.
const LISTS_BYTES_MAX: usize = 8 << 20;
/// Lists out of one order: they are looked through one by one.
const LISTS_MAX: usize = 200;
/// Bytes of all orders that are kept, with their lists.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Orders that are kept.
const KEPT_MAX: usize = 32;
/// Who waits for longer than this until others have read theirs is told to come back later.
const WAIT: Duration = Duration::from_secs(10);

/// Which list was picked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListOf {
    /// A code and all below it.
    Branch(String),
    /// The concepts that have these words, as the database is asked for them.
    Words(String),
    /// The concepts that are not to be used any more.
    Inactive,
    /// The concepts that only group others.
    Abstract,
}

impl ListOf {
    fn bytes(&self) -> usize {
        match self {
            Self::Branch(text) | Self::Words(text) => text.len(),
            Self::Inactive | Self::Abstract => 0,
        }
    }
}

/// An order with lists out of it, the last used one at the end.
#[derive(Debug)]
pub(super) struct Ordered {
    pub(super) order: Order,
    lists: Mutex<VecDeque<(ListOf, Arc<Picked>)>>,
}

impl Ordered {
    pub(super) fn new(order: Order) -> Self {
        Self { order, lists: Mutex::default() }
    }

    /// A list that was picked out before.
    pub(super) fn known(&self, of: &ListOf) -> Option<Arc<Picked>> {
        let mut lists = self.lists();
        let at = lists.iter().position(|(known, _)| known == of)?;
        let (known, picked) = lists.remove(at)?;
        lists.push_back((known, Arc::clone(&picked)));
        Some(picked)
    }

    /// Keeps a list; those that were not used for the longest time go.
    fn keep(&self, of: ListOf, picked: Arc<Picked>) {
        let mut lists = self.lists();
        lists.retain(|(known, _)| *known != of);
        lists.push_back((of, picked));
        while lists.len() > LISTS_MAX || bytes(&lists) > LISTS_BYTES_MAX {
            lists.pop_front();
        }
    }

    /// Bytes that the order and its lists take.
    fn bytes(&self) -> usize {
        self.order.bytes() + bytes(&self.lists())
    }

    fn lists(&self) -> MutexGuard<'_, VecDeque<(ListOf, Arc<Picked>)>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(lists: &VecDeque<(ListOf, Arc<Picked>)>) -> usize {
    lists.iter().map(|(of, picked)| of.bytes() + picked.bytes()).sum()
}

/// The orders that are kept, the last used one at the end.
#[derive(Debug)]
pub(super) struct Orders {
    kept: Mutex<VecDeque<Kept>>,
    /// For reading one.
    turn: Semaphore,
    bytes_max: usize,
}

/// An order, or a place for one that is being read.
#[derive(Debug)]
struct Kept {
    of: Of,
    parts: Vec<i64>,
    cell: Arc<OnceCell<Arc<Ordered>>>,
}

/// A version of a code system in one version of the tables. It has one order at a time.
#[derive(Debug, PartialEq, Eq)]
struct Of {
    tables: i32,
    system: i64,
    version: Option<String>,
}

impl Default for Orders {
    fn default() -> Self {
        Self { kept: Mutex::default(), turn: Semaphore::new(1), bytes_max: KEPT_BYTES_MAX }
    }
}

impl Orders {
    /// The order of a system, where it was read before.
    pub(super) fn known(&self, tables: i32, large: &Large) -> Option<Arc<Ordered>> {
        self.place(tables, large, false)?.get().map(Arc::clone)
    }

    /// The order of a system; it is read where nobody has done so.
    pub(super) async fn get_or_read(
        &self,
        tables: i32,
        large: &Large,
        read: impl Future<Output = Result<Order, ProjectionError>>,
    ) -> Result<Arc<Ordered>, ProjectionError> {
        let Some(cell) = self.place(tables, large, true) else { return Err(ProjectionError::Crowded) };
        let read = || async {
            let turn = tokio::time::timeout(WAIT, self.turn.acquire()).await;
            let _turn = turn.ok().and_then(Result::ok).ok_or(ProjectionError::Crowded)?;
            Ok::<_, ProjectionError>(Arc::new(Ordered::new(read.await?)))
        };
        let ordered = cell.get_or_try_init(read).await.map(Arc::clone)?;
        self.shrink();
        Ok(ordered)
    }

    /// Where the order of a system is, or is to be; it is the last used one now.
    fn place(&self, tables: i32, large: &Large, make: bool) -> Option<Arc<OnceCell<Arc<Ordered>>>> {
        let of = Of { tables, system: large.system, version: large.head.version.clone() };
        let mut kept = self.kept();
        let at = kept.iter().position(|one| one.of == of);
        let known = at.and_then(|at| kept.remove(at));
        let one = match known {
            Some(known) if known.parts == large.parts => known,
            // The parts of a question that began before are not those of one that began later.
            known if !make => {
                kept.extend(known);
                return None;
            }
            _ => Kept { of, parts: large.parts.clone(), cell: Arc::default() },
        };
        let cell = Arc::clone(&one.cell);
        kept.push_back(one);
        while kept.len() > KEPT_MAX {
            kept.pop_front();
        }
        Some(cell)
    }

    /// Keeps a list out of an order.
    pub(super) fn keep(&self, ordered: &Ordered, of: ListOf, picked: Picked) -> Arc<Picked> {
        let picked = Arc::new(picked);
        ordered.keep(of, Arc::clone(&picked));
        self.shrink();
        picked
    }

    /// Lets those go that were not used for the longest time, until the rest is small enough.
    fn shrink(&self) {
        let mut kept = self.kept();
        let bytes = |one: &Kept| one.cell.get().map_or(0, |ordered| ordered.bytes());
        while kept.len() > 1 && kept.iter().map(bytes).sum::<usize>() > self.bytes_max {
            kept.pop_front();
        }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminology::order::{Linking, Texts};

    fn large(system: i64, parts: &[i64]) -> Large {
        Large { system, parts: parts.to_vec(), ..Large::default() }
    }

    /// An order of so many codes of eight bytes: twelve bytes for each, and four for what lies below it.
    fn order(codes: usize) -> Order {
        let mut texts = Texts::default();
        assert!((0..codes).all(|number| texts.push(&format!("{number:08}"))));
        Linking::new(&texts, true).finish()
    }

    async fn read(orders: &Orders, large: &Large, codes: usize) -> Arc<Ordered> {
        orders.get_or_read(1, large, async { Ok(order(codes)) }).await.unwrap()
    }

    #[tokio::test]
    async fn an_order_is_kept_until_its_system_has_other_parts() {
        let orders = Orders::default();
        read(&orders, &large(1, &[10, 11]), 3).await;
        read(&orders, &large(2, &[12]), 4).await;
        let known = |tables, large: &Large| orders.known(tables, large).map(|ordered| ordered.order.len());
        assert_eq!(known(1, &large(1, &[10, 11])), Some(3));
        assert_eq!(known(1, &large(2, &[12])), Some(4));
        assert_eq!(known(2, &large(2, &[12])), None, "other tables");
        assert_eq!(known(1, &large(1, &[10, 13])), None, "another part");
        read(&orders, &large(1, &[10, 13]), 5).await;
        assert_eq!((known(1, &large(1, &[10, 13])), known(1, &large(1, &[10, 11]))), (Some(5), None));
        let again = large(1, &[10, 13]);
        let again = orders.get_or_read(1, &again, async { unreachable!("it is kept") });
        assert_eq!(again.await.unwrap().order.len(), 5);
    }

    #[tokio::test]
    async fn what_was_not_used_for_the_longest_time_goes_first() {
        const CODES: usize = 1_000;
        // For three of them, and a little more.
        let orders = Orders { bytes_max: 3 * 16 * CODES + 300, ..Orders::default() };
        for system in 1..=3 {
            read(&orders, &large(system, &[system]), CODES).await;
        }
        let is_known = |system| orders.known(1, &large(system, &[system])).is_some();
        assert!(is_known(1) && is_known(3));
        read(&orders, &large(4, &[4]), CODES).await;
        assert_eq!([1, 2, 3, 4].map(is_known), [true, false, true, true]);
        // Lists count as well.
        let ordered = read(&orders, &large(4, &[4]), CODES).await;
        for number in 0..3 {
            let list = ListOf::Branch(number.to_string());
            orders.keep(&ordered, list, Picked::none(CODES));
        }
        assert_eq!([1, 3, 4].map(is_known), [false, true, true]);
    }

    #[tokio::test]
    async fn lists_are_kept_as_long_as_there_is_room() {
        let orders = Orders::default();
        let ordered = read(&orders, &large(1, &[1]), 100).await;
        let list = |number: usize| ListOf::Words(number.to_string());
        for number in 0..=LISTS_MAX {
            let picked = Picked::of(100, [u32::try_from(number % 100).unwrap()]);
            orders.keep(&ordered, list(number), picked);
            assert!(ordered.known(&list(0)).is_some(), "it is in use");
        }
        assert!(ordered.known(&list(1)).is_none() && ordered.known(&ListOf::Branch("2".into())).is_none());
        assert_eq!(ordered.known(&list(2)).unwrap().page((0, 9)), [2]);
        let large = ordered.lists().len() * 16 + 3 * LISTS_MAX;
        assert!(bytes(&ordered.lists()) <= large);
        orders.keep(&ordered, list(0), Picked::none(8 * LISTS_BYTES_MAX));
        assert_eq!(
            bytes(&ordered.lists()),
            0,
            "one that is too large is not kept, and takes the others along"
        );
    }
}

//! A small hash table from JSON member names to elements, made for names of a few bytes.

/// Where a name leads: indexes of the element in its structure and of the type in the element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) element: u16,
    pub(super) element_type: u16,
}

/// Open addressing over a power of two at most half full, so a miss ends at the first free place.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    places: Vec<Option<(&'static str, Slot)>>,
    mask: usize,
}

impl Lookup {
    /// Builds the table. A name that comes twice keeps its first slot.
    pub(super) fn new(entries: &[(&'static str, Slot)]) -> Self {
        let size = (entries.len() * 2 + 1).next_power_of_two();
        let mut lookup = Lookup { places: vec![None; size], mask: size - 1 };
        for &(name, slot) in entries {
            let mut place = hash(name) & lookup.mask;
            // The table is at most half full, so a free place comes.
            while let Some(Some((taken, _))) = lookup.places.get(place) {
                if *taken == name {
                    break;
                }
                place = (place + 1) & lookup.mask;
            }
            if let Some(free @ None) = lookup.places.get_mut(place) {
                *free = Some((name, slot));
            }
        }
        lookup
    }

    /// Finds a name.
    pub(super) fn find(&self, name: &str) -> Option<Slot> {
        let mut place = hash(name) & self.mask;
        for _ in 0..self.places.len() {
            match self.places.get(place) {
                Some(Some((taken, slot))) if *taken == name => return Some(*slot),
                Some(Some(_)) => place = (place + 1) & self.mask,
                _ => return None,
            }
        }
        None
    }
}

/// Mixes the name eight bytes at a time. The keys are fixed and public, so nobody gains by collisions.
fn hash(name: &str) -> usize {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = name.len() as u64;
    for chunk in name.as_bytes().chunks(8) {
        let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        state = (state ^ word).wrapping_mul(MULTIPLIER);
        state ^= state >> 29;
    }
    (state >> 7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_other() {
        let names: Vec<&'static str> =
            (0..500).map(|number| &*Box::leak(format!("name{number}").into_boxed_str())).collect();
        let entries: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(index, name)| (*name, Slot { element: index as u16, element_type: 0 }))
            .collect();
        let lookup = Lookup::new(&entries);
        for (index, name) in names.iter().enumerate() {
            assert_eq!(lookup.find(name).map(|slot| slot.element), Some(index as u16));
        }
        assert!(lookup.find("name500").is_none());
        assert!(lookup.find("").is_none());
        assert!(Lookup::default().find("name1").is_none());
    }
}

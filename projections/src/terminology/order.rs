//! The codes of a large code system in order, and what lies right below each: some 30 bytes for a concept.

/// Codes in the order of their bytes, each of them once, and the hierarchy between them.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// All codes, one behind the other.
    text: String,
    ends: Vec<u32>,
    /// For each code the numbers of those right below it, one group behind the other.
    children: Vec<u32>,
    child_ends: Vec<u32>,
    /// The code of the last edge that was added, by its number.
    parent: Option<u32>,
}

impl Order {
    /// Adds a code. They come in order; false where there is no room for more.
    pub(super) fn push(&mut self, code: &str) -> bool {
        let end = u32::try_from(self.text.len() + code.len());
        let (Ok(end), Ok(_)) = (end, u32::try_from(self.ends.len())) else { return false };
        self.text.push_str(code);
        self.ends.push(end);
        true
    }

    /// Adds what lies right below a code, after all codes. The ones above come in order; unknown codes are passed over.
    pub(super) fn link(&mut self, above: &str, below: &str) {
        let is_same = self.parent.is_some_and(|parent| self.code(parent) == Some(above));
        let parent = if is_same { self.parent } else { self.find(above) };
        let (Some(parent), Some(child)) = (parent, self.find(below)) else { return };
        self.parent = Some(parent);
        self.close(parent as usize);
        self.children.push(child);
    }

    /// Ends the groups of all codes before this one.
    fn close(&mut self, number: usize) {
        // There are never more edges than a table of this size has rows.
        let end = u32::try_from(self.children.len()).unwrap_or(u32::MAX);
        if self.child_ends.len() < number {
            self.child_ends.resize(number, end);
        }
    }

    /// Says that all edges are there.
    pub(super) fn finish(mut self) -> Self {
        self.close(self.ends.len());
        self.text.shrink_to_fit();
        self.children.shrink_to_fit();
        self
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + 4 * (self.ends.len() + self.children.len() + self.child_ends.len())
    }

    /// The code with a number.
    pub(super) fn code(&self, number: u32) -> Option<&str> {
        let number = number as usize;
        let end = *self.ends.get(number)? as usize;
        let start =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.text.get(start..end)
    }

    /// The number of a code.
    pub(super) fn find(&self, code: &str) -> Option<u32> {
        let (mut low, mut high) = (0_u32, u32::try_from(self.ends.len()).unwrap_or(u32::MAX));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.code(middle)?.cmp(code) {
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// A code and all below it, in order. Each is entered once, so that circles end.
    pub(super) fn below(&self, code: &str) -> Vec<u32> {
        let Some(top) = self.find(code) else { return Vec::new() };
        let mut seen = vec![false; self.ends.len()];
        let mut open = vec![top];
        while let Some(number) = open.pop() {
            let Some(is_seen) = seen.get_mut(number as usize) else { continue };
            if !std::mem::replace(is_seen, true) {
                open.extend_from_slice(self.right_below(number as usize));
            }
        }
        (0_u32..).zip(seen).filter(|(_, is_seen)| *is_seen).map(|(number, _)| number).collect()
    }

    fn right_below(&self, number: usize) -> &[u32] {
        let end = |number: usize| self.child_ends.get(number).map_or(0, |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.children.get(start..end(number)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(codes: &[&str], edges: &[(&str, &str)]) -> Order {
        let mut order = Order::default();
        assert!(codes.iter().all(|code| order.push(code)));
        edges.iter().for_each(|(above, below)| order.link(above, below));
        order.finish()
    }

    fn below(order: &Order, code: &str) -> String {
        order.below(code).iter().map(|number| order.code(*number).unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_lies_below_is_found_in_order_also_in_circles_and_where_codes_are_missing() {
        let edges =
            [("a", "f"), ("a", "ab"), ("b", "missing"), ("b", "c"), ("c", "a"), ("f", "b"), ("missing", "d")];
        let order = order(&["a", "ab", "b", "c", "d", "f"], &edges);
        assert_eq!(below(&order, "a"), "a ab b c f");
        assert_eq!(below(&order, "b"), "a ab b c f");
        assert_eq!(below(&order, "ab"), "ab");
        assert_eq!(below(&order, "d"), "d");
        assert_eq!(below(&order, "missing"), "");
        assert_eq!((order.len(), order.find("f"), order.find("ac")), (6, Some(5), None));
        assert_eq!(below(&Order::default().finish(), "a"), "");
    }
}

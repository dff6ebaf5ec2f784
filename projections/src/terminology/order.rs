//! The codes of a large code system in order, and what lies right below each: some 30 bytes for a concept.

use std::hash::{BuildHasher, RandomState};

use anamnesis_fhir::terminology::{folded, is_same_folded};

use super::picked::Picked;

/// Texts, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds a text; false where there is no room for more.
    pub(super) fn push(&mut self, text: &str) -> bool {
        let end = u32::try_from(self.text.len() + text.len());
        let (Ok(end), Ok(_)) = (end, u32::try_from(self.ends.len())) else { return false };
        self.text.push_str(text);
        self.ends.push(end);
        true
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of::<u32>() * self.ends.len()
    }

    fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)? as usize;
        let start =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.text.get(start..end)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// In the order of their bytes, each of them once.
    fn sorted(&self) -> Self {
        let mut all: Vec<&str> = self.iter().collect();
        all.sort_unstable();
        all.dedup();
        let bytes = all.iter().map(|text| text.len()).sum();
        let mut sorted = Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(all.len()) };
        for text in all {
            sorted.push(text);
        }
        sorted
    }
}

/// For each code the numbers of others, one group behind the other.
#[derive(Debug, Default)]
struct Links {
    others: Vec<u32>,
    ends: Vec<u32>,
}

impl Links {
    /// Of so many codes, each with the other.
    fn of(len: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        // How many each code has; then where its group begins, and, as it is filled, where it ends.
        let mut ends = vec![0_u32; len];
        for (code, _) in edges.clone() {
            ends.get_mut(code as usize).into_iter().for_each(|count| *count += 1);
        }
        let mut start = 0;
        for count in &mut ends {
            start += std::mem::replace(count, start);
        }
        let mut others = vec![0; start as usize];
        for (code, other) in edges {
            let Some(end) = ends.get_mut(code as usize) else { continue };
            others.get_mut(*end as usize).into_iter().for_each(|place| *place = other);
            *end += 1;
        }
        Self { others, ends }
    }

    fn get(&self, number: u32) -> &[u32] {
        let end = |number: u32| self.ends.get(number as usize).map_or(0, |end| *end as usize);
        let start = number.checked_sub(1).map_or(0, end);
        self.others.get(start..end(number)).unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        size_of::<u32>() * (self.others.len() + self.ends.len())
    }
}

/// Codes in the order of their bytes, each of them once, and the hierarchy between them.
#[derive(Debug, Default)]
pub(super) struct Order {
    codes: Texts,
    children: Links,
    /// Where the system does not tell letters apart.
    folding: Option<Folding>,
}

/// What is needed to find codes in any spelling. Where the system has several spellings of a code, each lies right below the
/// other, and the first one stands for all.
#[derive(Debug)]
struct Folding {
    /// Numbers in the order of their codes in lower case.
    by_letters: Vec<u32>,
    /// Those that another one stands for.
    doubles: Picked,
    parents: Links,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let folding = |folding: &Folding| {
            size_of::<u32>() * folding.by_letters.len() + folding.doubles.bytes() + folding.parents.bytes()
        };
        self.codes.bytes() + self.children.bytes() + self.folding.as_ref().map_or(0, folding)
    }

    /// The code with a number.
    pub(super) fn code(&self, number: u32) -> Option<&str> {
        self.codes.get(number as usize)
    }

    /// The codes with these numbers.
    pub(super) fn codes(&self, numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
        numbers.into_iter().map_while(|number| self.code(number)).map(str::to_owned).collect()
    }

    /// The number of a code; where letters are not told apart, of any spelling of it.
    pub(super) fn find(&self, code: &str) -> Option<u32> {
        match &self.folding {
            Some(folding) => self.spellings_of(folding, code).first().copied(),
            None => {
                let at =
                    partition_point(self.len(), |number| self.code(number).is_some_and(|one| one < code));
                Some(at).filter(|at| self.code(*at) == Some(code))
            }
        }
    }

    /// The numbers of a code that the system has in several spellings, or the one.
    fn spellings_of<'o>(&self, folding: &'o Folding, code: &str) -> &'o [u32] {
        let wanted = folded(code);
        let at = |place: usize| folding.by_letters.get(place).and_then(|number| self.code(*number));
        let is_before = |place: u32| at(place as usize).is_some_and(|one| folded(one) < wanted);
        let first = partition_point(folding.by_letters.len(), is_before) as usize;
        let count =
            (first..).take_while(|place| at(*place).is_some_and(|one| is_same_folded(one, code))).count();
        folding.by_letters.get(first..first + count).unwrap_or_default()
    }

    /// All spellings of the codes with these numbers.
    pub(super) fn spellings(&self, numbers: &[u32]) -> Vec<String> {
        let Some(folding) = &self.folding else { return self.codes(numbers.iter().copied()) };
        let codes = numbers.iter().filter_map(|number| self.code(*number));
        codes.flat_map(|code| self.codes(self.spellings_of(folding, code).iter().copied())).collect()
    }

    /// All codes.
    pub(super) fn all(&self) -> Picked {
        self.without_doubles(Picked::all(self.len()))
    }

    /// A code and all below it. Each is entered once, so that circles end.
    pub(super) fn below(&self, top: u32) -> Picked {
        self.walk(&[top], &self.children)
    }

    /// These codes and all above them, and those right below them; only where letters are not told apart.
    pub(super) fn near(&self, codes: &[u32], children_max: usize) -> Picked {
        let Some(folding) = &self.folding else { return Picked::of(self.len(), codes.iter().copied()) };
        let mut near = self.walk(codes, &folding.parents);
        let spellings = codes.iter().filter_map(|code| self.code(*code));
        let spellings = spellings.flat_map(|code| self.spellings_of(folding, code));
        let children = spellings.flat_map(|code| self.children.get(*code)).copied();
        let is_other = |child: &u32| !folding.doubles.has(*child);
        for child in children.filter(is_other).take(children_max) {
            near.insert(child);
        }
        near
    }

    /// The codes right above one, spellings of it among them; none where letters are told apart.
    pub(super) fn right_above(&self, code: u32) -> impl Iterator<Item = u32> {
        let folding = self.folding.as_ref();
        let spellings = folding.into_iter().flat_map(move |folding| {
            self.code(code).map(|code| self.spellings_of(folding, code)).unwrap_or_default()
        });
        let parents = spellings.filter_map(move |one| Some(folding?.parents.get(*one)));
        parents.flatten().copied()
    }

    fn walk(&self, from: &[u32], next: &Links) -> Picked {
        let mut seen = Picked::of(self.len(), from.iter().copied());
        let mut open = from.to_vec();
        while let Some(number) = open.pop() {
            open.extend(next.get(number).iter().filter(|other| seen.insert(**other)));
        }
        self.without_doubles(seen)
    }

    fn without_doubles(&self, mut picked: Picked) -> Picked {
        if let Some(folding) = &self.folding {
            picked.drop(&folding.doubles);
        }
        picked
    }
}

/// The first of so many numbers that is not so.
fn partition_point(len: usize, is_so: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, u32::try_from(len).unwrap_or(u32::MAX));
    while low < high {
        let middle = low + (high - low) / 2;
        if is_so(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// An order whose hierarchy is being added.
pub(super) struct Linking {
    codes: Texts,
    /// Whether letters are told apart.
    is_case_sensitive: bool,
    /// The numbers of codes, each at the first free place from that of its hash on; a power of two of places.
    places: Vec<u32>,
    hasher: RandomState,
    /// Numbers of codes: the one above, the one below.
    edges: Vec<(u32, u32)>,
}

/// No code has this number: there are never as many.
const FREE: u32 = u32::MAX;

impl Linking {
    /// Puts codes in order.
    pub(super) fn new(codes: &Texts, is_case_sensitive: bool) -> Self {
        let codes = codes.sorted();
        let places = vec![FREE; (codes.len() * 2).next_power_of_two()];
        let (hasher, edges) = (RandomState::new(), Vec::new());
        let mut linking = Self { codes, is_case_sensitive, places, hasher, edges };
        for number in 0..linking.codes.len() {
            let Some(place) = linking.codes.get(number).and_then(|code| linking.place(code)) else {
                continue;
            };
            // Of several spellings the first one stays.
            let free = linking.places.get_mut(place).filter(|place| **place == FREE);
            if let (Some(free), Ok(number)) = (free, u32::try_from(number)) {
                *free = number;
            }
        }
        linking
    }

    /// Where the number of a code is, or would be.
    fn place(&self, code: &str) -> Option<usize> {
        let mask = self.places.len() - 1;
        let hash = match self.is_case_sensitive {
            true => self.hasher.hash_one(code),
            false => self.hasher.hash_one(folded(code)),
        };
        let first = usize::try_from(hash & mask as u64).unwrap_or(0);
        (0..self.places.len()).map(|step| (first + step) & mask).find(|place| {
            let number = self.places.get(*place).copied().unwrap_or(FREE);
            let is_same = |one: &str| one == code || (!self.is_case_sensitive && is_same_folded(one, code));
            number == FREE || self.codes.get(number as usize).is_some_and(is_same)
        })
    }

    fn find(&self, code: &str) -> Option<u32> {
        self.places.get(self.place(code)?).copied().filter(|number| *number != FREE)
    }

    /// Says that one code lies right above another; unknown ones are passed over.
    pub(super) fn link(&mut self, above: &str, below: &str) {
        if let (Some(above), Some(below)) = (self.find(above), self.find(below)) {
            self.edges.push((above, below));
        }
    }

    /// Bytes that the order will take; a little more where there are several spellings of codes.
    pub(super) fn bytes(&self) -> usize {
        let (codes, links) = (self.codes.len(), self.codes.len() + self.edges.len());
        let folding = match self.is_case_sensitive {
            true => 0,
            false => size_of::<u32>() * (codes + links) + Picked::none(codes).bytes(),
        };
        self.codes.bytes() + size_of::<u32>() * links + folding
    }

    /// Says that all edges are there.
    pub(super) fn finish(mut self) -> Order {
        let len = self.codes.len();
        let mut folding = None;
        if !self.is_case_sensitive {
            let (by_letters, doubles) = self.by_letters();
            let parents = Links::of(len, self.edges.iter().map(|(above, below)| (*below, *above)));
            folding = Some(Folding { by_letters, doubles, parents });
        }
        let children = Links::of(len, self.edges.iter().copied());
        Order { codes: self.codes, children, folding }
    }

    /// The numbers in the order of their codes in lower case, and those that another spelling stands for.
    fn by_letters(&mut self) -> (Vec<u32>, Picked) {
        let code = |number: &u32| self.codes.get(*number as usize).unwrap_or_default();
        let mut by_letters: Vec<u32> = (0..u32::try_from(self.codes.len()).unwrap_or(FREE)).collect();
        // Numbers that are alike stay in their order.
        by_letters.sort_by_cached_key(|number| folded(code(number)));
        let mut doubles = Picked::none(self.codes.len());
        for same in by_letters.chunk_by(|left, right| is_same_folded(code(left), code(right))) {
            for double in same.iter().skip(1) {
                doubles.insert(*double);
                self.edges
                    .extend(same.first().into_iter().flat_map(|one| [(*one, *double), (*double, *one)]));
            }
        }
        (by_letters, doubles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(codes: &[&str], edges: &[(&str, &str)]) -> Order {
        order_of(codes, edges, true)
    }

    fn order_of(codes: &[&str], edges: &[(&str, &str)], is_case_sensitive: bool) -> Order {
        let mut texts = Texts::default();
        assert!(codes.iter().all(|code| texts.push(code)));
        let mut linking = Linking::new(&texts, is_case_sensitive);
        edges.iter().for_each(|(above, below)| linking.link(above, below));
        let bytes = linking.bytes();
        let order = linking.finish();
        let doubles = order.folding.as_ref().map_or(0, |folding| folding.doubles.count());
        assert_eq!(order.bytes(), bytes + doubles * 16, "it was told how much it takes");
        order
    }

    fn below(order: &Order, code: &str) -> String {
        let below = order.find(code).map(|top| order.below(top).page((0, usize::MAX)));
        order.codes(below.unwrap_or_default()).join(" ")
    }

    #[test]
    fn what_lies_below_is_found_in_order_also_in_circles_and_where_codes_are_missing() {
        let edges =
            [("a", "f"), ("b", "missing"), ("a", "ab"), ("missing", "d"), ("b", "c"), ("f", "b"), ("c", "a")];
        let order = order(&["d", "b", "ab", "f", "a", "c", "ab"], &edges);
        assert_eq!(order.codes(0..9), ["a", "ab", "b", "c", "d", "f"]);
        assert_eq!(below(&order, "a"), "a ab b c f");
        assert_eq!(below(&order, "b"), "a ab b c f");
        assert_eq!(below(&order, "ab"), "ab");
        assert_eq!(below(&order, "d"), "d");
        assert_eq!(below(&order, "missing"), "");
        assert_eq!((order.len(), order.find("f"), order.find("ac")), (6, Some(5), None));
    }

    #[test]
    fn an_order_of_nothing_has_nothing() {
        let order = order(&[], &[("a", "b")]);
        assert_eq!((order.len(), order.bytes(), order.find("a")), (0, 0, None));
    }

    #[test]
    fn many_codes_are_found_each_at_its_number() {
        let codes: Vec<String> = (0..5_000).map(|number| format!("{:05}", number * 7_919 % 50_000)).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let edges: Vec<(&str, &str)> = codes.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let order = order(&codes, &edges);
        assert_eq!(order.len(), 5_000);
        assert!((0..5_000).all(|number| order.find(order.code(number).unwrap()) == Some(number)));
        assert_eq!(order.below(order.find(codes[0]).unwrap()).count(), 5_000);
        assert_eq!(order.below(order.find(codes[4_990]).unwrap()).count(), 10);
    }
    #[test]
    fn letters_are_told_apart_or_not() {
        let codes = ["aB", "C", "x", "AB", "12", "c"];
        let edges = [("Ab", "X"), ("c", "aB")];
        let apart = order_of(&codes, &edges, true);
        assert_eq!(
            (apart.find("ab"), below(&apart, "AB"), below(&apart, "c")),
            (None, "AB".into(), "aB c".into())
        );
        assert_eq!(apart.all().count(), 6);
        let folds = order_of(&codes, &edges, false);
        assert_eq!(folds.codes(folds.all().page((0, 9))), ["12", "AB", "C", "x"]);
        for spelling in ["ab", "AB", "aB", "Ab"] {
            assert_eq!(folds.find(spelling), Some(1));
            assert_eq!(below(&folds, spelling), "AB x");
        }
        assert_eq!(below(&folds, "c"), "AB C x");
        assert_eq!((folds.find("abc"), folds.find("")), (None, None));
        let [ab, c, x] = ["ab", "c", "x"].map(|code| folds.find(code).unwrap());
        assert_eq!(folds.spellings(&[ab, x]), ["AB", "aB", "x"]);
        let near = |codes: &[u32], most| folds.codes(folds.near(codes, most).page((0, 9))).join(" ");
        assert_eq!([near(&[x], 9), near(&[ab], 9), near(&[c], 9)], ["AB C x", "AB C x", "AB C"]);
        assert_eq!((near(&[c], 0), near(&[c, x], 0)), ("C".to_owned(), "AB C x".to_owned()));
        let above = |code| {
            let mut above = folds.codes(folds.right_above(code));
            above.sort_unstable();
            above.dedup();
            above.join(" ")
        };
        assert_eq!([above(x), above(ab), above(c)], ["AB", "AB C aB", "C c"]);
    }
}

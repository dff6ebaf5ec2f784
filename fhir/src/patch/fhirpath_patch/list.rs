//! Lists: an array of values and, for primitives, the array of their companions, which are kept in step (R4 json.html).

use super::PatchErrorKind;
use super::content::Fit;
use super::element::{Rendered, members, set_members};
use super::target::List;
use crate::json::{Kind, Splice, Value};
use crate::patch::edit;

impl<'d> List<'d> {
    fn values(&self) -> Option<Value<'d>> {
        self.object.get(&self.name).filter(|value| value.kind() == Kind::Array)
    }

    fn companions(&self) -> Option<Value<'d>> {
        self.object.get(&format!("_{}", self.name)).filter(|value| value.kind() == Kind::Array)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        let len = |array: Option<Value<'_>>| array.map_or(0, Value::len);
        len(self.values()).max(len(self.companions()))
    }

    /// Inserts before an item, or behind the last.
    pub(super) fn insert(
        &self,
        splice: &mut Splice,
        index: usize,
        fit: &Fit,
        new: Rendered,
    ) -> Result<(), PatchErrorKind> {
        if index > self.len() {
            return Err(PatchErrorKind::BadIndex);
        }
        match (self.values(), self.companions(), &new.value, &new.companion) {
            (Some(values), None, Some(json), None) => edit::insert(splice, values, index, json),
            _ => {
                let mut items = self.items();
                items.insert(index.min(items.len()), new);
                set_members(splice, self.object, &self.name, &members(fit, &items));
            }
        }
        Ok(())
    }

    /// Puts another item in the place of one.
    pub(super) fn replace(&self, splice: &mut Splice, index: usize, fit: &Fit, new: Rendered) {
        let old = self.values().and_then(|values| values.items().nth(index));
        match (old, self.companions(), &new.value, &new.companion) {
            (Some(old), None, Some(json), None) => splice.replace(old.span(), json.as_str()),
            _ => {
                let mut items = self.items();
                if let Some(item) = items.get_mut(index) {
                    *item = new;
                }
                set_members(splice, self.object, &self.name, &members(fit, &items));
            }
        }
    }

    /// Removes one of several items.
    pub(super) fn delete(&self, splice: &mut Splice, index: usize) {
        if let (Some(values), None) = (self.values(), self.companions()) {
            if let Some(item) = values.items().nth(index) {
                edit::remove(splice, values, item);
            }
            return;
        }
        let mut items = self.items();
        if index < items.len() {
            items.remove(index);
        }
        if let Some(fit) = self.fit() {
            set_members(splice, self.object, &self.name, &members(&fit, &items));
        }
    }

    /// Moves an item to another place; those between make room.
    pub(super) fn r#move(
        &self,
        splice: &mut Splice,
        source: usize,
        destination: usize,
    ) -> Result<(), PatchErrorKind> {
        let len = self.len();
        if source >= len || destination >= len {
            return Err(PatchErrorKind::BadIndex);
        }
        let mut order: Vec<usize> = (0..len).collect();
        let moved = order.remove(source);
        order.insert(destination, moved);
        match (self.values(), self.companions()) {
            (Some(values), None) => edit::reorder(splice, values, &order),
            _ => {
                let items = self.items();
                let items: Vec<Rendered> =
                    order.iter().filter_map(|from| items.get(*from).cloned()).collect();
                let fit = self.fit().ok_or(PatchErrorKind::UnknownElement)?;
                set_members(splice, self.object, &self.name, &members(&fit, &items));
            }
        }
        Ok(())
    }

    fn fit(&self) -> Option<Fit> {
        let hit = self.structure.element(&self.name)?;
        Some(Fit { element: hit.element, element_type: hit.element_type })
    }

    /// All items with their companions.
    fn items(&self) -> Vec<Rendered> {
        let half = |array: Option<Value<'d>>| {
            let items = array.into_iter().flat_map(Value::items);
            items.map(|item| (!item.is_null()).then(|| item.raw().to_owned()))
        };
        let (mut values, mut companions) = (half(self.values()), half(self.companions()));
        (0..self.len())
            .map(|_| Rendered { value: values.next().flatten(), companion: companions.next().flatten() })
            .collect()
    }
}

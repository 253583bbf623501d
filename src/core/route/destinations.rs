//! Where one key or filter leads: a small sorted set that counts the bindings behind each destination.

use smallvec::SmallVec;

/// Destinations in order, each with the number of bindings that lead to it: two bindings that differ in
/// their arguments only must not end together.
///
/// The usual key leads to one, which takes no allocation. Ids that grow, as queues' do, are added at the
/// end in constant time.
#[derive(Debug)]
pub(in crate::core) struct Destinations<D>(SmallVec<[(D, u32); 1]>);

impl<D> Default for Destinations<D> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<D: Clone + Ord> Destinations<D> {
    /// Adds one binding.
    pub(super) fn add(&mut self, destination: D) {
        match self.0.binary_search_by(|(d, _)| d.cmp(&destination)) {
            Ok(at) => {
                if let Some((_, bindings)) = self.0.get_mut(at) {
                    *bindings += 1;
                }
            }
            Err(at) => self.0.insert(at, (destination, 1)),
        }
    }

    /// Takes one binding away; one that was never added changes nothing.
    pub(super) fn remove(&mut self, destination: &D) {
        if let Ok(at) = self.0.binary_search_by(|(d, _)| d.cmp(destination))
            && let Some((_, bindings)) = self.0.get_mut(at)
        {
            *bindings -= 1;
            if *bindings == 0 {
                self.0.remove(at);
            }
        }
    }

    /// Whether no binding is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends every destination once.
    pub(super) fn collect(&self, out: &mut SmallVec<[D; 4]>) {
        out.extend(self.0.iter().map(|(d, _)| d.clone()));
    }
}

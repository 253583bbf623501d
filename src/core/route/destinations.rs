//! Where one key or filter leads: a small sorted set that counts the bindings behind each destination.

use smallvec::SmallVec;

/// Destinations in order, each with the number of bindings that lead to it: two bindings that differ in
/// their arguments only must not end together.
///
/// The usual key leads to one by one binding, which takes 16 bytes and no allocation. Ids that grow, as queues' do, are
/// added at the end in constant time.
#[derive(Debug, Default)]
pub(in crate::core) enum Destinations<D> {
    /// No binding.
    #[default]
    None,
    /// One binding.
    One(D),
    /// Several. Boxed, so that the usual one is small.
    #[expect(
        clippy::box_collection,
        reason = "a vector would make the usual one longer"
    )]
    Several(Box<Vec<(D, u32)>>),
}

impl<D: Clone + Ord> Destinations<D> {
    /// Adds one binding.
    pub(super) fn add(&mut self, destination: D) {
        match std::mem::take(self) {
            Self::None => *self = Self::One(destination),
            Self::One(first) => {
                let mut several = vec![(first, 1)];
                insert(&mut several, destination);
                *self = Self::Several(several.into());
            }
            Self::Several(mut several) => {
                insert(&mut several, destination);
                *self = Self::Several(several);
            }
        }
    }

    /// Takes one binding away; one that was never added changes nothing.
    pub(super) fn remove(&mut self, destination: &D) {
        match self {
            Self::None => {}
            Self::One(only) if only == destination => *self = Self::None,
            Self::One(_) => {}
            Self::Several(several) => {
                remove(several, destination);
                if let [(last, 1)] = &***several {
                    *self = Self::One(last.clone());
                }
            }
        }
    }

    /// Whether no binding is left.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Appends every destination once.
    pub(super) fn collect(&self, out: &mut SmallVec<[D; 4]>) {
        match self {
            Self::None => {}
            Self::One(only) => out.push(only.clone()),
            Self::Several(several) => out.extend(several.iter().map(|(d, _)| d.clone())),
        }
    }
}

fn insert<D: Ord>(several: &mut Vec<(D, u32)>, destination: D) {
    match several.binary_search_by(|(d, _)| d.cmp(&destination)) {
        Ok(at) => {
            if let Some((_, bindings)) = several.get_mut(at) {
                *bindings += 1;
            }
        }
        Err(at) => several.insert(at, (destination, 1)),
    }
}

fn remove<D: Ord>(several: &mut Vec<(D, u32)>, destination: &D) {
    if let Ok(at) = several.binary_search_by(|(d, _)| d.cmp(destination))
        && let Some((_, bindings)) = several.get_mut(at)
    {
        *bindings -= 1;
        if *bindings == 0 {
            several.remove(at);
        }
    }
}

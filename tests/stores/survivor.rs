//! What is left of unsynced changes after a power loss.

use rand::Rng;
use rand::rngs::StdRng;

/// What a disk writes whole or not at all, in bytes.
const SECTOR: u64 = 512;

/// A change of the file that no sync has put on the disk.
#[derive(Debug, Clone)]
pub(crate) enum Unsynced {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

/// A file after a power loss, and what became of the unsynced writes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survivor {
    pub(crate) image: Vec<u8>,
    pub(crate) kept: u64,
    pub(crate) dropped: u64,
    pub(crate) torn: u64,
    /// Kept, while one before it was dropped.
    pub(crate) overtook: u64,
}

/// Chooses for each unsynced write whether it is kept, dropped or torn. A disk may write in any order:
/// a write that is kept while one before it is dropped has overtaken it, and of several writes to one
/// sector any may be the one that is found there. Changes of the length go through the file system's
/// journal: of those, the first so many are kept.
pub(crate) fn survivor(durable: &[u8], unsynced: &[Unsynced], rng: &mut StdRng) -> Survivor {
    let mut left = Survivor { image: durable.to_vec(), ..Survivor::default() };
    // Extremes are as likely as mixtures: all of it, nothing, all but few, few, half.
    let (keep, tear) = match rng.random_range(0..7) {
        0 => (100, 0),
        1 => (0, 0),
        2 => (90, 0),
        3 => (10, 0),
        4 => (50, 0),
        5 => (50, 50),
        _ => (80, 20),
    };
    let lengths = unsynced.iter().filter(|change| matches!(change, Unsynced::SetLen(_))).count();
    let mut lengths_kept =
        if rng.random_range(0..100) < keep { lengths } else { rng.random_range(0..=lengths) };
    for change in unsynced {
        match change {
            Unsynced::SetLen(_) => {
                if lengths_kept > 0 {
                    lengths_kept -= 1;
                    apply(&mut left.image, change);
                }
            }
            Unsynced::Write(offset, data) => {
                if rng.random_range(0..100) >= keep {
                    left.dropped += 1;
                } else if data.len() as u64 > SECTOR && rng.random_range(0..100) < tear {
                    left.torn += 1;
                    tear_apart(&mut left.image, *offset, data, rng);
                } else {
                    left.kept += 1;
                    left.overtook += u64::from(left.dropped > 0);
                    apply(&mut left.image, change);
                }
            }
        }
    }
    left
}

/// Does a change. What lies behind the end of the file is lost.
pub(crate) fn apply(image: &mut Vec<u8>, change: &Unsynced) {
    match change {
        Unsynced::SetLen(len) => image.resize(*len as usize, 0),
        Unsynced::Write(offset, data) => put(image, *offset, data),
    }
}

/// Some sectors of a write: its first ones, or any.
fn tear_apart(image: &mut [u8], offset: u64, data: &[u8], rng: &mut StdRng) {
    let end = offset + data.len() as u64;
    let sectors = offset / SECTOR..end.div_ceil(SECTOR);
    let first = rng.random_bool(0.5).then(|| rng.random_range(sectors.clone()));
    for sector in sectors {
        let kept = first.map_or_else(|| rng.random_bool(0.5), |first| sector < first);
        if kept {
            let from = (sector * SECTOR).max(offset);
            let to = ((sector + 1) * SECTOR).min(end);
            put(image, from, &data[(from - offset) as usize..(to - offset) as usize]);
        }
    }
}

fn put(image: &mut [u8], offset: u64, data: &[u8]) {
    let from = (offset as usize).min(image.len());
    let to = (offset as usize + data.len()).min(image.len());
    image[from..to].copy_from_slice(&data[..to - from]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    /// Every outcome that a disk may have is chosen by some seed, and none that it can't have.
    #[test]
    fn every_outcome_of_two_writes_is_found() {
        let unsynced = [
            Unsynced::SetLen(2048),
            Unsynced::Write(0, vec![1; 1024]),
            Unsynced::Write(0, vec![2; 1024]),
        ];
        let mut found = std::collections::BTreeSet::new();
        for seed in 0..2000 {
            let left = survivor(&[9; 1024], &unsynced, &mut StdRng::seed_from_u64(seed));
            let sectors: Vec<u8> = left.image.chunks(512).map(|sector| sector[0]).collect();
            assert!(left.image.chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])));
            found.insert(sectors);
        }
        // Two sectors of three versions each, at both lengths.
        assert_eq!(found.len(), 18, "{found:?}");
    }
}

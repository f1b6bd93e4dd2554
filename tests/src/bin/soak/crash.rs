//! Crashes, as bad extensions bring them about.

use std::sync::atomic::Ordering;

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Failure, Outcome, World, ask, wrong};

/// How many requests beside it a crash may cost, on average.
pub const LOST_BESIDE_A_CRASH: u64 = 0;

const HOW: [&str; 4] = ["null", "stack", "abort", "division"];

pub fn write(site: &Site) {
    site.file("crash.php", "<?php ftm_crash($_GET['how']); echo 'alive';");
}

/// One crash. Its client gets a 500, or no end where neighbours are lost, too.
pub fn crash(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let how = HOW[rng.below(HOW.len())];
    let [begun, over] = &world.crashes;
    begun.fetch_add(1, Ordering::SeqCst);
    let outcome = ask(address, &Call::get(&world.site, &format!("/crash.php?how={how}")));
    over.fetch_add(1, Ordering::SeqCst);
    match outcome {
        Ok(answer) if answer.web().status == 500 && answer.app_status != 0 => Ok(()),
        Ok(answer) => Err(wrong(how, &answer)),
        Err(Failure::Broken(_)) if LOST_BESIDE_A_CRASH > 0 => Ok(()),
        Err(failure) => Err(failure),
    }
}

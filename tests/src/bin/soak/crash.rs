//! Crashes, as bad extensions bring them about. Each costs its own request, and none beside it.

use ftm_tests::fcgi::Call;
use ftm_tests::{Address, Rng, Site};

use crate::world::{Outcome, World, ask, wrong};

const HOW: [&str; 4] = ["null", "stack", "abort", "division"];

pub fn write(site: &Site) {
    site.file("crash.php", "<?php ftm_crash($_GET['how']); echo 'alive';");
}

/// One crash.
pub fn crash(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let how = HOW[rng.below(HOW.len())];
    let answer = ask(address, &Call::get(&world.site, &format!("/crash.php?how={how}")))?;
    if answer.web().status == 500 && answer.app_status != 0 { Ok(()) } else { Err(wrong(how, &answer)) }
}

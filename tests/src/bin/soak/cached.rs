//! opcache with too little memory: it restarts when it is full, and when it is told to.

use ftm_tests::{Address, Rng, cached};

use crate::world::{Outcome, World, ask, wrong};

/// Runs code of some of the files.
pub fn cached(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    let answer = ask(address, &cached::call(&world.site, Some(rng)))?;
    if cached::right(&answer) { Ok(()) } else { Err(wrong("cached", &answer)) }
}

/// opcache_reset().
pub fn reset(world: &World, address: &Address, _: &mut Rng) -> Outcome {
    let answer = ask(address, &cached::reset(&world.site))?;
    if cached::was_reset(&answer) { Ok(()) } else { Err(wrong("reset", &answer)) }
}

/// Changes one of the files.
pub fn change(world: &World, address: &Address, rng: &mut Rng) -> Outcome {
    cached::change(&world.site, rng);
    cached(world, address, rng)
}

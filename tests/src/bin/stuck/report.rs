//! The table.

use std::time::Duration;

use ftm_tests::Kind as Program;

use crate::kinds::Kind;
use crate::trial::Outcome;

/// One line for each kind that is done.
pub fn progress(program: Program, kind: &Kind, outcome: Option<&Outcome>) {
    let told = outcome.map_or("cannot be tried here".to_owned(), |outcome| {
        let misses: String = outcome.misses.iter().map(|miss| format!("\n    {miss}")).collect();
        format!("{} in {}{misses}", answers(outcome), range(&outcome.times))
    });
    eprintln!("{} {}: {told}", program.name(), kind.name);
}

/// What all servers did, side by side.
pub fn table(kinds: &[&Kind], reports: &[(Program, Vec<Option<Outcome>>)]) {
    print!("{:24}", "kind");
    for (program, _) in reports {
        let steps = if *program == Program::PhpFtm { format!("{:28}", "ended by") } else { String::new() };
        print!("{steps}{:26}{:>10}{:>9}{:>8}   ", program.name(), "seconds", "back ms", "failed");
    }
    println!();
    for (at, kind) in kinds.iter().enumerate() {
        print!("{:24}", kind.name);
        for (program, outcomes) in reports {
            let Some(outcome) = &outcomes[at] else {
                print!("{:56}", "-");
                continue;
            };
            if *program == Program::PhpFtm {
                let steps = outcome.steps.iter().map(|(step, count)| format!("{} {count}", step.name()));
                print!("{:28}", steps.collect::<Vec<_>>().join(", "));
            }
            let wrong = if outcome.misses.is_empty() { ' ' } else { '!' };
            let back = outcome.capacity.as_millis();
            print!("{:26}{:>10}{back:>9}{:>8} {wrong} ", answers(outcome), range(&outcome.times), outcome.failed);
        }
        println!();
    }
    for (program, outcomes) in reports {
        let done = outcomes.iter().flatten();
        let right = done.clone().filter(|outcome| outcome.misses.is_empty()).count();
        let others: usize = done.clone().map(|outcome| outcome.others).sum();
        let failed: usize = done.clone().map(|outcome| outcome.failed).sum();
        let name = program.name();
        println!(
            "{name}: {right} of {} kinds as they should be; others: {others} answered, {failed} failed",
            done.count()
        );
    }
}

fn answers(outcome: &Outcome) -> String {
    outcome.answers.iter().map(|(shape, count)| format!("{count} x {shape}")).collect::<Vec<_>>().join(", ")
}

fn range(times: &[Duration]) -> String {
    let [least, most] = [times.iter().min(), times.iter().max()].map(|time| time.map_or(0.0, Duration::as_secs_f64));
    format!("{least:.1}-{most:.1}")
}

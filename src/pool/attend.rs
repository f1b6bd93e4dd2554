//! What the main thread does for connections of the lobby, which are the PHP threads' as a rule.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;

use super::dispatch::{Burden, Dispatcher};
use super::status;
use crate::observe::log;
use crate::php::PhpPool;
use crate::server::{Connections, EXHAUSTED_PAUSE, Event, Lobby, watch};

/// How long all PHP threads have to be busy before the main thread takes what waits: one that is done sooner takes it with
/// less ado.
const BUSY: Duration = Duration::from_millis(2);

/// How long a request takes of which the main thread watches the connection, for its client may leave.
const LONG: Duration = Duration::from_millis(20);

/// Accepts, reads and queues while no PHP thread is idle.
pub async fn stand_in(pool: Arc<PhpPool>, connections: Rc<Connections>) {
    let (dispatcher, lobby) = (&pool.dispatcher, pool.dispatcher.lobby());
    let mut burden = Burden::default();
    lobby.deserted.call(); // there may be no thread before somebody comes
    loop {
        lobby.deserted.called().await;
        while lobby.deserted.rest(|| !dispatcher.anybody_watches()) {
            if dispatcher.any_threads() {
                tokio::time::sleep(BUSY).await;
            }
            if dispatcher.anybody_watches() {
                continue;
            }
            let any_waits = lobby.any_events() || dispatcher.any_queued();
            if any_waits {
                dispatcher.relieve(&mut burden);
            }
            if dispatcher.anybody_idle() {
                if !any_waits {
                    wait_for_events(lobby).await;
                }
                continue;
            }
            if dispatcher.wait_space().await {
                status::load(&pool); // the backlog is at its longest
            }
            if !serve_waiting(dispatcher, lobby, &connections) {
                wait_for_events(lobby).await;
            }
        }
    }
}

/// Serves on this thread what nobody else does. False: there is nothing.
fn serve_waiting(dispatcher: &Dispatcher, lobby: &Lobby, connections: &Rc<Connections>) -> bool {
    let mut events = lobby.events();
    // Those who were accepted before go first.
    events.sort_by_key(|event| *event == Event::Listener);
    let mut served = false;
    for event in &events {
        match event {
            Event::Bell => {
                // Rung for a thread that has become idle just now.
                if dispatcher.anybody_idle() {
                    lobby.ring();
                }
            }
            Event::Place { number, .. } => {
                if let Some(direct) = lobby.take(*number) {
                    served = true;
                    connections.serve(direct.into());
                }
            }
            Event::Listener => {
                while let Some(direct) = lobby.accept() {
                    served = true;
                    connections.serve(direct.into());
                    if dispatcher.queue_full() {
                        lobby.look_again();
                        break;
                    }
                }
            }
        }
    }
    served
}

async fn wait_for_events(lobby: &Lobby) {
    if let Err(e) = something_comes(lobby).await {
        log::error!("cannot watch for connections: {e}");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

async fn something_comes(lobby: &Lobby) -> std::io::Result<()> {
    let sight = watch(lobby.sight(), Interest::READABLE)?;
    let _ = sight.readable().await?;
    Ok(())
}

/// Has those accepted who could not be when the lobby was told of them, whichever thread has tried.
pub async fn make_good(dispatcher: Arc<Dispatcher>) {
    let lobby = dispatcher.lobby();
    loop {
        lobby.owes().await;
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
        lobby.look_again();
    }
}

/// Watches the connections of requests that take long.
pub async fn look_after(dispatcher: Arc<Dispatcher>) {
    let lobby = dispatcher.lobby();
    loop {
        lobby.unwatched.called().await;
        loop {
            tokio::time::sleep(LONG).await;
            for slot in dispatcher.slots() {
                slot.take_visit_if(|visit| visit.request.finished() || visit.request.begun().elapsed() >= LONG)
                    .into_iter()
                    .for_each(|visit| lobby.hand(visit.into()));
            }
            if !lobby.unwatched.rest(|| dispatcher.slots().iter().any(|slot| slot.has_visit())) {
                break;
            }
        }
    }
}

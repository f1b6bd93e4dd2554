//! The connections in the lobby, each with a number that epoll knows it by.

use super::super::direct::Direct;

/// The number of the listening socket.
pub const LISTENER: u64 = u64::MAX;

/// The number of the bell.
pub const BELL: u64 = u64::MAX - 1;

/// Places of connections. A number is an index, and in its upper half how often the place was given away: an event of a
/// former one finds nobody.
#[derive(Default)]
pub struct Places {
    places: Vec<Place>,
    free: Vec<u32>,
    /// The lobby is closed: nobody waits in it any more.
    pub closed: bool,
}

#[derive(Default)]
struct Place {
    generation: u32,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Free,
    Waits(Direct),
    /// Somebody has it. `event`: there is one that it has not seen to.
    Taken {
        event: bool,
    },
}

impl Places {
    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let index = usize::try_from(number & u64::from(u32::MAX)).ok()?;
        self.places.get_mut(index).filter(|place| u64::from(place.generation) == number >> 32)
    }

    /// A place for `direct`: its number.
    pub fn add(&mut self, mut direct: Direct) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            (self.places.len() - 1) as u32
        });
        let place = &mut self.places[index as usize];
        let number = u64::from(place.generation) << 32 | u64::from(index);
        direct.place = Some(number);
        place.state = State::Waits(direct);
        number
    }

    /// Takes the connection of this number, whose place is kept. `ended`: who puts it back wants to be told again.
    pub fn take(&mut self, number: u64, ended: bool) -> Option<Direct> {
        let place = self.place(number)?;
        match std::mem::replace(&mut place.state, State::Taken { event: ended }) {
            State::Waits(direct) => Some(direct),
            State::Taken { .. } => {
                place.state = State::Taken { event: true };
                None
            }
            State::Free => {
                place.state = State::Free;
                None
            }
        }
    }

    /// Back to its place. True: it has missed an event.
    pub fn put_back(&mut self, number: u64, direct: Direct) -> bool {
        let Some(place) = self.place(number) else { return false };
        let missed = matches!(place.state, State::Taken { event: true });
        place.state = State::Waits(direct);
        missed
    }

    /// Gives the place away.
    pub fn remove(&mut self, number: u64) {
        let Some(place) = self.place(number) else { return };
        place.state = State::Free;
        // The last generation would make numbers of the listener and the bell.
        place.generation = (place.generation + 1) % u32::MAX;
        self.free.push((number & u64::from(u32::MAX)) as u32);
    }

    /// Those who wait.
    pub fn waiting(&self) -> impl Iterator<Item = &Direct> {
        self.places.iter().filter_map(|place| match &place.state {
            State::Waits(direct) => Some(direct),
            _ => None,
        })
    }

    /// Closes the lobby: the numbers of all who wait.
    pub fn close(&mut self) -> Vec<u64> {
        self.closed = true;
        self.waiting().filter_map(|direct| direct.place).collect()
    }
}

//! What an operator asks of a member that goes on: to be empty for a while, to take that back, to part with some clients.
//!
//! ```text
//!            drain                   nobody is left, nothing is owned
//!   Serving --------> Draining ------------------------------------> Drained
//!      ^  ^             | ^                                            |  |
//!      |  '--undrain----' '---------- there is no other front end -----'  |
//!      '--------------------------------- undrain ------------------------'
//! ```
//!
//! The process goes on in each of these, and stops from each as it always does ([`Running::stop`](super::Running::stop)). While
//! it drains and when it has, its lease says so, balancers are told, and nobody signs in; only if all other front ends are gone
//! clients are let in again until there is another.

use std::sync::Arc;
use std::time::Duration;

use front_end::FrontEnd;
use rpc::{Error, ErrorCode};
use rpc_wire::Health as RpcHealth;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use topology::Role;

use super::others::Others;
use crate::background::Background;
use crate::health::{Health, State};

fn stopping() -> Error {
    Error::new(ErrorCode::Conflict, "this member is being stopped")
}

/// What is wanted of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    /// Take part.
    Serve,
    /// Part with so many clients, and take part.
    Move(usize),
    /// Be empty.
    Drain,
    /// It stops: no wish counts any more.
    Stop,
}

/// What is drained: the parts of a member that take part in it.
pub(super) struct Parts {
    pub(super) health: Arc<Health>,
    /// Those to whom it leaves what it has, and the roles they must run; without a pool there is nobody.
    pub(super) pool: Option<(Others, Vec<Role>)>,
    pub(super) rpc_health: Option<RpcHealth>,
    pub(super) front_end: Option<FrontEnd>,
    pub(super) pace: config::Drain,
}

/// Takes wishes of the operator; a task of the member fulfils them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Drainer {
    parts: Arc<Parts>,
    wish: Arc<watch::Sender<Wish>>,
    /// The task has ended.
    over: CancellationToken,
}

impl Drainer {
    /// Starts the task.
    pub(super) fn start(parts: Parts, background: &Background) -> Self {
        let drainer = Drainer {
            parts: Arc::new(parts),
            wish: Arc::new(watch::Sender::new(Wish::Serve)),
            over: CancellationToken::new(),
        };
        let task = drainer.clone();
        let over = drainer.over.clone().drop_guard();
        let stop = background.stop.clone();
        background.tasks.spawn(async move {
            let _over = over;
            stop.run_until_cancelled(task.fulfil()).await;
        });
        drainer
    }

    /// Begins a drain, and returns when it has begun. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`]: nobody could take what this member has, or it stops.
    pub(crate) async fn drain(&self) -> Result<(), Error> {
        let (others, roles) = self.pool()?;
        if let Some(role) = roles.iter().find(|role| !others.run(**role)) {
            let text = format!(
                "no other member runs the role {role}: nobody could take what this one has; it can only be stopped"
            );
            return Err(Error::new(ErrorCode::Conflict, text));
        }
        self.wish(Wish::Drain)?;
        self.state_or_end(self.parts.health.reached(State::Draining))
            .await
    }

    /// Takes a drain back, and returns when this member serves again, at once as a rule. If there is none it does nothing.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`]: it stops.
    pub(crate) async fn undrain(&self) -> Result<(), Error> {
        self.wish(Wish::Serve)?;
        self.state_or_end(self.parts.health.is(State::Serving)).await
    }

    /// Moves a share of the clients, in percent, to other front ends; returns how many that are.
    ///
    /// # Errors
    /// [`ErrorCode::Conflict`]: this is no front end or the only one, it drains, or it stops.
    pub(crate) fn rebalance(&self, percent: u8) -> Result<usize, Error> {
        let conflict = |text: &str| Error::new(ErrorCode::Conflict, text);
        let (others, _) = self.pool()?;
        let front_end = self.parts.front_end.as_ref();
        let front_end = front_end.ok_or_else(|| conflict("this member has no clients"))?;
        if !others.run(Role::FrontEnd) {
            return Err(conflict("there is no other front end"));
        }
        if *self.wish.borrow() == Wish::Drain {
            return Err(conflict("this member drains: all its clients are being moved"));
        }
        let some = front_end.clients() * usize::from(percent.min(100)) / 100;
        self.wish(Wish::Move(some))?;
        Ok(some)
    }

    /// Moves so many clients to other front ends, unless there is something else to do.
    pub(super) fn part_with(&self, clients: usize) {
        self.wish.send_if_modified(|present| {
            let free = *present == Wish::Serve;
            if free {
                *present = Wish::Move(clients);
            }
            free
        });
    }

    /// Ends the task: returns when it tells nobody any more to go, and those who were told have gone.
    pub(crate) async fn end(&self) {
        self.wish.send_replace(Wish::Stop);
        self.over.cancelled().await;
    }

    async fn state_or_end(&self, state: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            () = state => Ok(()),
            () = self.over.cancelled() => Err(stopping()),
        }
    }

    fn pool(&self) -> Result<&(Others, Vec<Role>), Error> {
        self.parts.pool.as_ref().ok_or_else(|| {
            let text = "this server is no member of a pool: there is nobody its clients could go to";
            Error::new(ErrorCode::Conflict, text)
        })
    }

    fn wish(&self, wish: Wish) -> Result<(), Error> {
        let mut stops = false;
        self.wish.send_if_modified(|present| {
            stops = *present == Wish::Stop;
            !stops && std::mem::replace(present, wish) != wish
        });
        match stops {
            false => Ok(()),
            true => Err(stopping()),
        }
    }

    async fn fulfil(&self) {
        let mut wishes = self.wish.subscribe();
        loop {
            let wish = *wishes.borrow_and_update();
            match wish {
                Wish::Stop => return,
                Wish::Serve => {
                    if wishes.changed().await.is_err() {
                        return;
                    }
                }
                Wish::Move(some) => {
                    self.move_some(some).await;
                    self.wish.send_if_modified(|present| {
                        *present == wish && std::mem::replace(present, Wish::Serve) == wish
                    });
                }
                Wish::Drain => self.stay_empty().await,
            }
        }
    }

    /// Moves some clients, until something else is wanted.
    async fn move_some(&self, some: usize) {
        let Some(front_end) = &self.parts.front_end else {
            return;
        };
        tracing::info!(clients = some, "moving some clients elsewhere");
        let enough = CancellationToken::new();
        let moved = front_end.move_clients(self.parts.pace.window, some, &enough);
        let mut moved = std::pin::pin!(moved);
        tokio::select! {
            () = &mut moved => {}
            () = self.withdrawn(Wish::Move(some)) => {
                enough.cancel();
                moved.await;
            }
        }
    }

    /// Drains, and stays drained until something else is wanted.
    async fn stay_empty(&self) {
        self.begin().await;
        let grace = match &self.parts.front_end {
            Some(_) => self.parts.pace.grace,
            None => Duration::ZERO,
        };
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            () = self.withdrawn(Wish::Drain) => return self.serve_again().await,
        }
        while !self.empty_once().await {
            tracing::warn!("there is no other front end any more: clients are let in until there is one");
            tokio::select! {
                () = self.others_run_front_ends(true) => {}
                () = self.withdrawn(Wish::Drain) => return self.serve_again().await,
            }
        }
    }

    /// Not ready, for everybody who looks; what is owned begins to move.
    async fn begin(&self) {
        tracing::info!("draining, until that is taken back");
        self.parts.health.set_state(State::Draining);
        if let Some(health) = &self.parts.rpc_health {
            health.set_all(false).await;
        }
        if let Some((others, _)) = &self.parts.pool {
            others.0.hand_over().await;
        }
    }

    /// Moves everything and stays empty. True: something else is wanted, and if that is to serve, it does; false: there is no
    /// other front end, and clients are let in.
    async fn empty_once(&self) -> bool {
        let enough = CancellationToken::new();
        let emptied = async {
            if let Some(front_end) = &self.parts.front_end {
                front_end.turn_away();
                tracing::info!(connections = front_end.connections(), "moving clients elsewhere");
                front_end
                    .move_clients(self.parts.pace.window, usize::MAX, &enough)
                    .await;
            }
            let owns_nothing = async {
                if let Some((others, _)) = &self.parts.pool {
                    others.0.handed_over().await;
                }
            };
            if enough.run_until_cancelled(owns_nothing).await.is_some() && !enough.is_cancelled() {
                tracing::info!("drained: nobody is left here, and nothing is owned that others could take");
                self.parts.health.set_state(State::Drained);
            }
        };
        let interrupted = async {
            let withdrawn = tokio::select! {
                () = self.withdrawn(Wish::Drain) => true,
                () = self.others_run_front_ends(false) => false,
            };
            // At once, though some are still to be seen off who were told to go.
            enough.cancel();
            match withdrawn {
                true => self.serve_again().await,
                false => self.let_in(),
            }
            withdrawn
        };
        let ((), withdrawn) = tokio::join!(emptied, interrupted);
        withdrawn
    }

    /// Clients are let in though this member drains: they have nowhere else to go.
    fn let_in(&self) {
        if let Some(front_end) = &self.parts.front_end {
            front_end.take_in();
        }
        self.parts.health.set_state(State::Draining);
    }

    /// Takes part again, unless it stops.
    async fn serve_again(&self) {
        if *self.wish.borrow() == Wish::Stop {
            return;
        }
        if let Some((others, _)) = &self.parts.pool {
            others.0.take_back().await;
        }
        if let Some(health) = &self.parts.rpc_health {
            health.set_all(true).await;
        }
        if let Some(front_end) = &self.parts.front_end {
            front_end.take_in();
        }
        self.parts.health.set_state(State::Serving);
        tracing::info!("the drain was taken back: serving");
    }

    /// Waits until something else is wanted.
    async fn withdrawn(&self, wish: Wish) {
        // Fails only without a sender, and that is ours.
        let _ = self.wish.subscribe().wait_for(|present| *present != wish).await;
    }

    /// Waits until there are other front ends, or none. Without clients it makes no difference.
    async fn others_run_front_ends(&self, some: bool) {
        match (&self.parts.pool, &self.parts.front_end) {
            (Some((others, _)), Some(_)) => others.until(some, Role::FrontEnd).await,
            _ => std::future::pending().await,
        }
    }
}

//! What keeps a member that was left behind from doing harm.

/// Says whether what this member owns is still its own. Asked before anything is done that only an owner may do.
pub trait Fence: Send + Sync + 'static {
    /// False: the member's lease may have run out, or was not confirmed for too long (it was paused, or is cut off).
    /// Somebody else may own what it held: it does nothing and answers [`crate::ErrorCode::Unavailable`]. The answer is
    /// computed from the clock at each call, so that it is right in the first instant after a pause.
    fn is_valid(&self) -> bool;
}

/// The fence of a member that shares with nobody: a Standard Edition.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFence;

impl Fence for NoFence {
    fn is_valid(&self) -> bool {
        true
    }
}

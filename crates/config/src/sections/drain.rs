//! `[drain]`: how a member of a pool stops.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::reader::Reader;
use crate::value::Value as _;

/// How a member stops whose clients can go to another front end. Where there is none, it stops at once.
#[derive(Clone, Debug)]
pub struct Drain {
    /// `drain.grace` (`5s`): it goes on as before for so long, not ready, so that balancers notice.
    pub grace: Duration,
    /// `drain.window` (`30s`): its clients are told to go in waves spread over so long.
    pub window: Duration,
    /// `drain.limit` (`150s`): the whole stop; what takes longer is cut off.
    pub limit: Duration,
}

/// What a stop takes after the last wave at most, but for what is cut off: the last clients, and what is handed over.
const AFTERWARDS: Duration = Duration::from_secs(25);

const fn seconds(least: u64, most: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(least)..=Duration::from_secs(most)
}

impl Drain {
    pub(crate) fn read(reader: &mut Reader) -> Self {
        let drain = Drain {
            grace: reader.duration("drain.grace", Duration::from_secs(5), seconds(0, 60)),
            window: reader.duration("drain.window", Duration::from_secs(30), seconds(1, 600)),
            limit: reader.duration("drain.limit", Duration::from_secs(150), seconds(26, 900)),
        };
        let least = drain.grace + drain.window + AFTERWARDS;
        if drain.limit < least {
            reader.problem(
                "drain.limit",
                format!(
                    "{} cuts the waves off: it must be {} or more, which is drain.grace, drain.window and {}",
                    drain.limit.show(),
                    least.show(),
                    AFTERWARDS.show()
                ),
            );
        }
        drain
    }
}

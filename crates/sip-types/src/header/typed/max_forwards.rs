//! `Max-Forwards`: RFC 3261 section 20.22.

use super::macros::number_header;
use crate::limits;

number_header! {
    /// How many more hops the request may take, 0 to 255.
    MaxForwards, max = limits::MAX_FORWARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::typed::test_util::{check, refuse};

    #[test]
    fn the_range_is_checked() {
        assert_eq!(check::<MaxForwards>("0068", "68"), MaxForwards(68));
        check::<MaxForwards>("0", "0");
        check::<MaxForwards>("255", "255");
        refuse::<MaxForwards>(&["256", "-1", "", "70 ", "7x", "4294967296"]);
    }
}

//! Enums that are closed sets of names, for counters with one cell per name.

/// Declares an enum without data with `ALL`, `index` (the position in `ALL`) and `name` (for a metric label).
macro_rules! closed_set {
    ($(#[$meta:meta])* pub enum $set:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $set { $($(#[$doc])* $variant,)+ }

        impl $set {
            /// All of them, in order.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// Position in `ALL`.
            pub fn index(self) -> usize {
                self as usize
            }

            /// Name for a metric label: lower case, words joined by underscores, never changed.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

pub(crate) use closed_set;

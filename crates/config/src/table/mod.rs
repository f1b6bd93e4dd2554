//! Every directive, once. Parser, validation, `-tt` and documentation derive from these tables;
//! the order is that of php-fpm's `-tt`, with our own directives behind the pool's scalar ones.
//!
//! To make a directive acted on, change its `no` to `yes`.

mod global;
mod php;
mod pool;

pub(crate) use global::{Global, LOG_LEVELS};
pub use php::{PhpSetting, php_settings};
pub(crate) use pool::Pool;

use crate::directive::Directive;

/// Writes an enum of directives and the table it indexes.
///
/// A line reads: variant, name, type, default (`-` for none), acted on (`yes`, `no`, or
/// `only "word"`), `own` for those beyond php-fpm, the documentation, and `threads "…"` where threads
/// make a difference that a user has to know.
macro_rules! table {
    ($enum:ident, $section:ident;
     $($id:ident = $name:literal: $kind:expr, $default:tt, $acted:ident $($word:literal)?,
       $($own:ident,)? $doc:literal $(, threads $threads:literal)?;)*) => {
        /// Index into this section's table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub(crate) enum $enum {
            $($id),*
        }

        impl $enum {
            /// All, in the order of the table.
            pub(crate) const ALL: &[$enum] = &[$($enum::$id),*];

            /// The directives of this section.
            pub(crate) const TABLE: &[crate::directive::Directive] = &[
                $(crate::directive::Directive {
                    name: $name,
                    section: crate::directive::Section::$section,
                    kind: $kind,
                    default: table!(@default $default),
                    acted_on: table!(@acted $acted $($word)?),
                    own: table!(@own $($own)?),
                    doc: $doc,
                    threads: table!(@threads $($threads)?),
                }),*
            ];
        }
    };
    (@default -) => { None };
    (@default $text:literal) => { Some($text) };
    (@acted yes) => { crate::directive::ActedOn::Yes };
    (@acted no) => { crate::directive::ActedOn::No };
    (@acted only $word:literal) => { crate::directive::ActedOn::Only($word) };
    (@threads) => { None };
    (@threads $text:literal) => { Some($text) };
    (@own) => { false };
    (@own own) => { true };
}
use table;

/// All directives: those of `[global]`, then those of a pool.
pub fn directives() -> impl Iterator<Item = &'static Directive> {
    Global::TABLE.iter().chain(Pool::TABLE)
}

/// A section's directives, indexed by an enum.
pub(crate) trait Table: Copy + Ord + std::fmt::Debug + 'static {
    /// The enum's values.
    const IDS: &'static [Self];

    /// The table's row.
    fn directive(self) -> &'static Directive;

    /// The directive of that name, whatever its case.
    fn find(name: &[u8]) -> Option<Self> {
        let same = |id: &&Self| id.directive().name.as_bytes().eq_ignore_ascii_case(name);
        Self::IDS.iter().find(same).copied()
    }
}

impl Table for Global {
    const IDS: &'static [Self] = Self::ALL;

    fn directive(self) -> &'static Directive {
        &Self::TABLE[self as usize]
    }
}

impl Table for Pool {
    const IDS: &'static [Self] = Self::ALL;

    fn directive(self) -> &'static Directive {
        &Self::TABLE[self as usize]
    }
}

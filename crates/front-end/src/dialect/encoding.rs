//! Content-Encoding (RFC 3261 section 20.12). Linphone 5.1 deflates its receipts and its lists.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Longest body after decoding: the limit that holds for what a client sends in clear.
const BODY_FROM_CLIENT: usize = 128 * 1024;

/// Why a body could not be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EncodingError {
    /// A coding we do not read: 415 with Accept-Encoding.
    Unknown,
    /// Not what its coding says.
    Malformed,
    /// Longer than a body may be once decoded.
    TooLarge,
}

/// Undoes one Content-Encoding. The limit of a body holds after decoding too, so that a small message cannot grow.
pub(crate) fn decode(coding: &str, body: &Bytes) -> Result<Bytes, EncodingError> {
    match coding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(body.clone()),
        "deflate" => {
            let mut plain = Vec::new();
            let limit = u64::try_from(BODY_FROM_CLIENT).unwrap_or(u64::MAX);
            let mut bounded = ZlibDecoder::new(body.as_ref()).take(limit.saturating_add(1));
            bounded
                .read_to_end(&mut plain)
                .map_err(|_| EncodingError::Malformed)?;
            if plain.len() > BODY_FROM_CLIENT {
                Err(EncodingError::TooLarge)
            } else {
                Ok(Bytes::from(plain))
            }
        }
        _ => Err(EncodingError::Unknown),
    }
}

/// Below this a body is not worth the work.
const WORTH_DEFLATING: usize = 1_024;

/// The body as `Content-Encoding: deflate`; `None` if that saves nothing worth speaking of.
pub(crate) fn deflate(plain: &Bytes) -> Option<Bytes> {
    if plain.len() < WORTH_DEFLATING {
        return None;
    }
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    // Writing to a vector does not fail.
    encoder.write_all(plain).ok()?;
    let deflated = encoder.finish().ok()?;
    (deflated.len() < plain.len() / 4 * 3).then(|| Bytes::from(deflated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_deflate_is_what_we_inflate_and_small_or_random_bodies_stay() {
        let long = Bytes::from("<resource/>".repeat(500));
        let deflated = super::deflate(&long).unwrap();
        assert!(deflated.len() < long.len() / 10);
        assert_eq!(decode("deflate", &deflated).unwrap(), long);
        assert_eq!(super::deflate(&Bytes::from_static(b"<resource/>")), None);
        let random: Vec<u8> = (0..4_096_u32)
            .map(|n| (n.wrapping_mul(n) ^ (n >> 3)) as u8)
            .collect();
        let twice = super::deflate(&Bytes::from(random));
        assert!(twice.is_none_or(|twice| twice.len() < 3_072));
    }

    fn deflate(plain: &[u8]) -> Bytes {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn deflated_bodies_are_read() {
        assert_eq!(decode("deflate", &deflate(b"<imdn/>")).unwrap(), "<imdn/>");
        assert_eq!(decode(" identity ", &Bytes::from_static(b"x")).unwrap(), "x");
    }

    #[test]
    fn a_small_body_cannot_grow_beyond_the_limit() {
        let bomb = deflate(&vec![b' '; 64 * BODY_FROM_CLIENT]);
        assert!(bomb.len() < BODY_FROM_CLIENT);
        assert_eq!(decode("deflate", &bomb), Err(EncodingError::TooLarge));
    }

    #[test]
    fn rubbish_and_unknown_codings_are_told_apart() {
        assert_eq!(
            decode("deflate", &Bytes::from_static(b"rubbish")),
            Err(EncodingError::Malformed)
        );
        assert_eq!(decode("br", &Bytes::new()), Err(EncodingError::Unknown));
    }
}

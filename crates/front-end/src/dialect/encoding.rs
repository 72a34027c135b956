//! Content-Encoding of bodies clients send (RFC 3261 section 20.12). Linphone 5.1 deflates its receipts.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::ZlibDecoder;

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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

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

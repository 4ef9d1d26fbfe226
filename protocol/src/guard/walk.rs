//! One walk over one body. `at` never passes the end of the body; every step either moves it or refuses.

use super::schema::{Field, Shape};
use super::{GuardError, Refusal};

/// Where a walk stands and what it may still count.
pub(super) struct Walk<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
    pub(super) version: i8,
    pub(super) flexible: bool,
    /// Elements of lists of text and structures that may still come. Lists of plain numbers are as long decoded as on
    /// the wire and are not counted.
    pub(super) elements_left: usize,
    pub(super) unknown_tags_left: usize,
}

impl Walk<'_> {
    /// Fields of a structure in wire order, then its tagged ones. `name` is what an error in the tag section is called.
    pub(super) fn structure(&mut self, name: &'static str, fields: &[Field]) -> Result<(), GuardError> {
        // Numbers in a row are skipped in one step: partitions of a fetch are little else. An error names the last.
        let mut numbers = 0;
        let mut last = name;
        for field in fields {
            if !field.is_inline(self.version) {
                continue;
            }
            if let Shape::Fixed(len) = field.shape {
                numbers += usize::from(len);
                last = field.name;
                continue;
            }
            self.skip(last, std::mem::take(&mut numbers))?;
            self.value(field.name, &field.shape, field.is_nullable(self.version))?;
        }
        self.skip(last, numbers)?;
        if self.flexible { self.tags(name, fields) } else { Ok(()) }
    }

    fn value(&mut self, name: &'static str, shape: &Shape, nullable: bool) -> Result<(), GuardError> {
        match shape {
            Shape::Fixed(len) => self.skip(name, usize::from(*len)),
            Shape::Text => {
                let len = if self.flexible { self.compact(name)? } else { self.short(name)? };
                self.skip_nullable(name, len, nullable)
            }
            Shape::Blob => {
                let len = if self.flexible { self.compact(name)? } else { self.long(name)? };
                self.skip_nullable(name, len, nullable)
            }
            Shape::List(element) => self.list(name, element, nullable),
            Shape::Struct(fields) => self.structure(name, fields),
            Shape::Optional(fields) => match self.byte(name)? {
                1 => self.structure(name, fields),
                0xff => Ok(()),
                _ => Err(self.refuse(name, Refusal::Presence)),
            },
        }
    }

    fn list(&mut self, name: &'static str, element: &Shape, nullable: bool) -> Result<(), GuardError> {
        let count = if self.flexible { self.compact(name)? } else { self.long(name)? };
        let Some(count) = count else {
            return if nullable { Ok(()) } else { Err(self.refuse(name, Refusal::Negative)) };
        };
        if let Shape::Fixed(len) = element {
            // A count is below 2^32 and a length below 2^8: the product is no overflow.
            return self.skip(name, count * usize::from(*len));
        }
        // Every element takes a byte at least, so a count beyond the rest cannot fit.
        if count > self.body.len() - self.at {
            return Err(self.refuse(name, Refusal::Truncated));
        }
        self.elements_left =
            self.elements_left.checked_sub(count).ok_or_else(|| self.refuse(name, Refusal::TooMany))?;
        for _ in 0..count {
            self.value(name, element, false)?;
        }
        Ok(())
    }

    /// The section of tagged fields: known ones are walked and must have the size they say, others are skipped.
    fn tags(&mut self, name: &'static str, fields: &[Field]) -> Result<(), GuardError> {
        let count = self.varint(name)?;
        for _ in 0..count {
            let tag = self.varint(name)?;
            let size = self.varint(name)? as usize;
            match fields.iter().find(|field| field.is_tagged(tag, self.version)) {
                Some(field) => {
                    let end = self.at.saturating_add(size);
                    self.value(field.name, &field.shape, field.is_nullable(self.version))?;
                    if self.at != end {
                        return Err(self.refuse(field.name, Refusal::TagSize));
                    }
                }
                None => {
                    self.unknown_tags_left = self
                        .unknown_tags_left
                        .checked_sub(1)
                        .ok_or_else(|| self.refuse(name, Refusal::TooMany))?;
                    self.skip(name, size)?;
                }
            }
        }
        Ok(())
    }

    fn skip_nullable(
        &mut self,
        name: &'static str,
        len: Option<usize>,
        nullable: bool,
    ) -> Result<(), GuardError> {
        match len {
            Some(len) => self.skip(name, len),
            None if nullable => Ok(()),
            None => Err(self.refuse(name, Refusal::Negative)),
        }
    }

    fn skip(&mut self, name: &'static str, len: usize) -> Result<(), GuardError> {
        if len > self.body.len() - self.at {
            return Err(self.refuse(name, Refusal::Truncated));
        }
        self.at += len;
        Ok(())
    }

    fn byte(&mut self, name: &'static str) -> Result<u8, GuardError> {
        let byte = *self.body.get(self.at).ok_or_else(|| self.refuse(name, Refusal::Truncated))?;
        self.at += 1;
        Ok(byte)
    }

    /// A length or count of two bytes; `None` is null.
    fn short(&mut self, name: &'static str) -> Result<Option<usize>, GuardError> {
        let bytes = self.body[self.at..].first_chunk::<2>();
        let len = i16::from_be_bytes(*bytes.ok_or_else(|| self.refuse(name, Refusal::Truncated))?);
        self.at += 2;
        self.signed(name, i32::from(len))
    }

    /// A length or count of four bytes; `None` is null.
    fn long(&mut self, name: &'static str) -> Result<Option<usize>, GuardError> {
        let bytes = self.body[self.at..].first_chunk::<4>();
        let len = i32::from_be_bytes(*bytes.ok_or_else(|| self.refuse(name, Refusal::Truncated))?);
        self.at += 4;
        self.signed(name, len)
    }

    fn signed(&self, name: &'static str, len: i32) -> Result<Option<usize>, GuardError> {
        match len {
            -1 => Ok(None),
            len => usize::try_from(len).map(Some).map_err(|_| self.refuse(name, Refusal::Negative)),
        }
    }

    /// A compact length or count: one more than it is, 0 for null.
    fn compact(&mut self, name: &'static str) -> Result<Option<usize>, GuardError> {
        Ok((self.varint(name)? as usize).checked_sub(1))
    }

    /// An unsigned varint of at most 32 bits. Stricter than the decoder behind us, which takes any fifth byte.
    fn varint(&mut self, name: &'static str) -> Result<u32, GuardError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte(name)?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        match self.byte(name)? {
            last @ 0..=0x0f => Ok(value | u32::from(last) << 28),
            _ => Err(self.refuse(name, Refusal::Varint)),
        }
    }

    #[cold]
    fn refuse(&self, field: &'static str, refusal: Refusal) -> GuardError {
        GuardError { field, at: self.at, refusal }
    }
}

//! The main executable in memory: where its read-only data and its code lie.
#![expect(unsafe_code, reason = "asks the dynamic loader for the program's segments")]

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::OnceLock;

use libc::{PF_R, PF_W, PF_X, PT_GNU_RELRO, PT_LOAD, PT_NOTE, dl_phdr_info, size_t};

use crate::task::IdentityError;

/// Which part of the executable something must lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// What nobody writes to once the program runs: read-only segments, and data made read-only after relocation.
    ReadOnly,
    /// What is executed.
    Code,
}

/// The mapped segments of the main executable.
#[derive(Debug)]
pub(super) struct Image {
    /// The load address: what is added to the addresses in the file.
    base: usize,
    read_only: Vec<Range<usize>>,
    code: Vec<Range<usize>>,
    build_id: Option<&'static [u8]>,
}

impl Image {
    /// The main program's image, found once. `None` where the system does not tell.
    pub(super) fn main() -> Option<&'static Self> {
        static MAIN: OnceLock<Option<Image>> = OnceLock::new();
        MAIN.get_or_init(|| first_object(Self::of)).as_ref()
    }

    fn of(object: &Object<'_>) -> Self {
        let base = object.base;
        let mut image = Self { base, read_only: Vec::new(), code: Vec::new(), build_id: None };
        let mut writable = Vec::new();
        let mut relocated = false;
        for header in object.headers {
            // What is beyond the file's bytes is zeroed memory (.bss): no constant and no code lies there.
            let Some(range) = object.range(header.p_vaddr, header.p_filesz) else {
                continue;
            };
            match header.p_type {
                PT_LOAD if header.p_flags & PF_R == 0 => {}
                PT_LOAD if header.p_flags & PF_W == 0 => {
                    if header.p_flags & PF_X != 0 {
                        image.code.push(range.clone());
                    }
                    // Some linkers put constants and code into one segment, so code may be read, too.
                    image.read_only.push(range);
                }
                PT_LOAD => writable.push(range),
                PT_GNU_RELRO => {
                    relocated = true;
                    image.read_only.push(range);
                }
                _ => {}
            }
        }
        if !relocated {
            // Linked without RELRO: the constants that hold addresses stay in a writable segment.
            image.read_only.append(&mut writable);
        }
        image.build_id = object.build_id(&image.read_only);
        image
    }

    fn regions(&self, region: Region) -> &[Range<usize>] {
        match region {
            Region::ReadOnly => &self.read_only,
            Region::Code => &self.code,
        }
    }

    fn contains(&self, address: usize, len: usize, region: Region) -> bool {
        let Some(end) = address.checked_add(len) else {
            return false;
        };
        self.regions(region).iter().any(|range| range.start <= address && end <= range.end)
    }

    /// The offset of the `len` bytes at `address`.
    pub(super) fn offset_of(&self, address: usize, len: usize, region: Region) -> Result<u64, IdentityError> {
        if self.contains(address, len, region) {
            Ok(address.wrapping_sub(self.base) as u64)
        } else {
            Err(IdentityError::Outside { object: object_at(address) })
        }
    }

    /// The address of the `len` bytes at `offset`, if all of them lie in `region`.
    pub(super) fn address_of(&self, offset: u64, len: usize, region: Region) -> Option<usize> {
        let address = self.base.wrapping_add(usize::try_from(offset).ok()?);
        self.contains(address, len, region).then_some(address)
    }
}

/// The build id that the linker wrote into this executable, if it did.
pub(crate) fn build_id() -> Option<&'static [u8]> {
    Image::main()?.build_id
}

#[cfg(target_pointer_width = "64")]
type ProgramHeader = libc::Elf64_Phdr;
#[cfg(target_pointer_width = "32")]
type ProgramHeader = libc::Elf32_Phdr;

/// An object that the loader mapped. Its name and headers are borrowed for the time of the loader's call.
struct Object<'a> {
    base: usize,
    name: &'a CStr,
    headers: &'a [ProgramHeader],
}

impl Object<'_> {
    /// The memory of `len` bytes at `address` in the file.
    fn range<N: TryInto<usize>>(&self, address: N, len: N) -> Option<Range<usize>> {
        let start = self.base.wrapping_add(address.try_into().ok()?);
        Some(start..start.checked_add(len.try_into().ok()?)?)
    }

    fn holds(&self, address: usize) -> bool {
        self.headers
            .iter()
            .filter(|header| header.p_type == PT_LOAD)
            .filter_map(|header| self.range(header.p_vaddr, header.p_memsz))
            .any(|range| range.contains(&address))
    }

    /// The note `NT_GNU_BUILD_ID` of the main program, whose segments `mapped` stay mapped while the process runs.
    fn build_id(&self, mapped: &[Range<usize>]) -> Option<&'static [u8]> {
        self.headers.iter().filter(|header| header.p_type == PT_NOTE).find_map(|header| {
            let range = self.range(header.p_vaddr, header.p_filesz)?;
            if !mapped.iter().any(|outer| outer.start <= range.start && range.end <= outer.end) {
                return None;
            }
            let start = std::ptr::with_exposed_provenance::<u8>(range.start);
            // SAFETY: the range lies within a read-only segment of the main program, which is never unmapped or written.
            let notes = unsafe { std::slice::from_raw_parts(start, range.len()) };
            let align = if header.p_align == 8 { 8 } else { 4 };
            build_id_in(notes, align)
        })
    }
}

/// Finds the build id among ELF notes: `namesz, descsz, type` as `u32`, then name and description, each padded.
fn build_id_in(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (head, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let name_len = usize::try_from(word(0)?).ok()?;
        let len = usize::try_from(word(4)?).ok()?;
        let name = rest.get(..name_len)?;
        // Padding counts from the note's start, 12 bytes before `rest`.
        let at = (12 + name_len).next_multiple_of(align) - 12;
        let description = rest.get(at..at.checked_add(len)?)?;
        if word(8)? == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return Some(description);
        }
        let end = (12 + at + len).next_multiple_of(align) - 12;
        notes = rest.get(end..)?;
    }
}

/// The file of the mapped object that `address` lies in, if it is not the main program.
fn object_at(address: usize) -> Option<String> {
    find_object(|object, _| {
        (object.holds(address) && !object.name.is_empty()).then(|| object.name.to_string_lossy().into_owned())
    })
}

fn first_object<T>(mut found: impl FnMut(&Object<'_>) -> T) -> Option<T> {
    find_object(|object, nth| (nth == 0).then(|| found(object)))
}

/// Calls `search` with each mapped object, the main program first, until it answers.
fn find_object<T>(search: impl FnMut(&Object<'_>, usize) -> Option<T>) -> Option<T> {
    struct Search<F, T> {
        search: F,
        nth: usize,
        found: Option<T>,
    }

    unsafe extern "C" fn each<T, F: FnMut(&Object<'_>, usize) -> Option<T>>(
        info: *mut dl_phdr_info,
        _: size_t,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: `data` is the `Search` below, borrowed by nobody else during the call.
        let state = unsafe { &mut *data.cast::<Search<F, T>>() };
        // SAFETY: the loader passes a valid `info` for the time of this call.
        let info = unsafe { &*info };
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        // SAFETY: the loader's headers: `dlpi_phnum` of them, valid and unchanged during this call.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let name = if info.dlpi_name.is_null() {
            c""
        } else {
            // SAFETY: the loader's string, nul-terminated, valid during this call.
            unsafe { CStr::from_ptr(info.dlpi_name) }
        };
        let base = usize::try_from(info.dlpi_addr).unwrap_or(usize::MAX);
        state.found = (state.search)(&Object { base, name, headers }, state.nth);
        state.nth += 1;
        c_int::from(state.found.is_some())
    }

    fn callback<T, F: FnMut(&Object<'_>, usize) -> Option<T>>(
        _: &Search<F, T>,
    ) -> unsafe extern "C" fn(*mut dl_phdr_info, size_t, *mut c_void) -> c_int {
        each::<T, F>
    }

    let mut state = Search { search, nth: 0, found: None };
    let each = callback(&state);
    // SAFETY: `each` gets `state`, which outlives the call, and does not unwind: the searches above do not panic.
    unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut state).cast()) };
    state.found
}

#[cfg(test)]
mod tests {
    use super::*;

    static CONSTANT: [u64; 4] = [1, 2, 3, 4];

    #[test]
    fn constants_and_functions_of_the_program_are_found_and_nothing_else() {
        let image = Image::main().unwrap();
        let constant = CONSTANT.as_ptr().addr();
        let function = build_id_in as *const () as usize;
        let stack = (&raw const image).addr();
        let heap = Box::new(1u8);

        assert!(image.contains(constant, 32, Region::ReadOnly));
        assert!(!image.contains(constant, 32, Region::Code) || image.code == image.read_only);
        assert!(image.contains(function, 1, Region::Code));
        for outside in [stack, (&raw const *heap).addr(), 0, usize::MAX, image.base.wrapping_sub(1)] {
            assert!(!image.contains(outside, 1, Region::ReadOnly), "{outside:#x}");
            assert!(!image.contains(outside, 1, Region::Code), "{outside:#x}");
        }
    }

    #[test]
    fn a_range_that_reaches_over_the_end_of_a_segment_is_outside() {
        let image = Image::main().unwrap();
        for range in &image.read_only {
            let last = range.end - 1;
            let next = image.read_only.iter().any(|other| other.contains(&range.end) && other.contains(&last));
            assert!(next || !image.contains(last, 2, Region::ReadOnly));
        }
        assert_eq!(image.address_of(u64::MAX, 1, Region::ReadOnly), None);
        assert_eq!(image.address_of(0, usize::MAX, Region::ReadOnly), None);
    }

    #[test]
    fn code_of_a_shared_library_is_named_by_its_file() {
        let image = Image::main().unwrap();
        let strlen = libc::strlen as *const () as usize;
        match image.offset_of(strlen, 1, Region::Code) {
            Err(IdentityError::Outside { object }) => assert!(object.unwrap().contains("libc")),
            // Statically linked: then libc is part of the program.
            Ok(_) if cfg!(target_feature = "crt-static") => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_build_id_is_found_behind_another_note_and_damage_is_none() {
        let mut notes = Vec::new();
        for (kind, name, description) in [(1u32, &b"Other\0"[..], &b"abcde"[..]), (3, b"GNU\0", b"\x01\x02\x03\x04")] {
            notes.extend((name.len() as u32).to_ne_bytes());
            notes.extend((description.len() as u32).to_ne_bytes());
            notes.extend(kind.to_ne_bytes());
            notes.extend(name);
            notes.resize(notes.len().next_multiple_of(4), 0);
            notes.extend(description);
            notes.resize(notes.len().next_multiple_of(4), 0);
        }
        assert_eq!(build_id_in(&notes, 4), Some(&b"\x01\x02\x03\x04"[..]));
        for cut in 0..notes.len() {
            assert_eq!(build_id_in(&notes[..cut], 4), None, "{cut}");
        }
        assert_eq!(build_id_in(&[0xff; 64], 4), None);
        assert_eq!(build_id_in(&[0; 64], 4), None);
    }
}

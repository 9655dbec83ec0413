//! Settings of the C library's allocator, so that freed memory is reused or returned to the kernel.

/// Blocks of at least this many bytes have their own pages, which return to the kernel when they are freed.
///
/// The default starts at the same value, but grows up to 32 MiB with the blocks that are freed: after one
/// long response, all later ones are placed in the heap and fragment it. A value that was set does not grow.
#[cfg(target_env = "gnu")]
const OWN_PAGES: libc::c_int = 128 * 1024;

/// Number of heaps. The default is eight for each processor, and a heap keeps memory that only its own threads
/// can use. Few threads allocate, each has a cache of small blocks, and the reader rarely allocates, so they do not
/// wait for each other.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = 1;

/// Bounds the free memory that the allocator keeps. Must be called before a second thread starts, because a
/// thread keeps its heap.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate wraps mallopt(3)")]
pub fn bound() {
    for (parameter, value) in [(libc::M_ARENA_MAX, HEAPS), (libc::M_MMAP_THRESHOLD, OWN_PAGES)] {
        // SAFETY: mallopt takes two numbers, touches only the allocator's own state, under its lock, and
        // may be called at any time; it returns 0 for a value that it rejects, and changes nothing then.
        let is_set = unsafe { libc::mallopt(parameter, value) } == 1;
        if !is_set {
            tracing::warn!(parameter, value, "the C library rejects a setting of its allocator");
        }
    }
}

/// Does nothing: other C libraries have one heap and no such settings.
#[cfg(not(target_env = "gnu"))]
pub fn bound() {}

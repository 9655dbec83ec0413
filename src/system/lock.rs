//! Locks a mutex even after a panic of the thread that held it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks the mutex. After a panic of its holder the value is used as it is: the caller keeps it consistent at every
/// moment, or can do with a value that is not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_of_the_holder_does_not_block_others() {
        let mutex = Mutex::new(1);
        let holder = catch_unwind(AssertUnwindSafe(|| {
            let mut value = mutex.lock().unwrap();
            *value = 2;
            panic!("while the lock is held");
        }));
        assert!(holder.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 2);
    }
}

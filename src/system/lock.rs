//! Locks and waits that also work after a panic of a thread that held the lock.
//!
//! After such a panic the value is used as it is: callers keep it consistent at every moment, or can use a value
//! that is not.

use std::{
    hint::spin_loop,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        TryLockError,
    },
    time::{Duration, Instant},
};

/// For how long [`lock_soon`] tries before it sleeps.
const PATIENCE: Duration = Duration::from_micros(50);

/// Locks the mutex.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks the mutex unless another thread holds it.
pub fn try_lock<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Locks a mutex that others hold for microseconds. Tries for some of them, because a thread that sleeps is woken later
/// than that, and finds the mutex locked again.
pub fn lock_soon<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let mut end = None;
    loop {
        if let Some(guard) = try_lock(mutex) {
            return guard;
        }
        let now = Instant::now();
        if now >= *end.get_or_insert(now + PATIENCE) {
            return lock(mutex);
        }
        (0..32).for_each(|_| spin_loop());
    }
}

/// Locks for reading.
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing.
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification.
pub fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, for at most `limit`.
pub fn wait_timeout<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_panic_of_the_holder_does_not_block_others() {
        let (mutex, condition) = (Mutex::new(1), Condvar::new());
        let holder = catch_unwind(AssertUnwindSafe(|| {
            let mut value = mutex.lock().unwrap();
            *value = 2;
            panic!("while the lock is held");
        }));
        assert!(holder.is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 2);
        assert_eq!(*try_lock(&mutex).unwrap(), 2);
        assert_eq!(*lock_soon(&mutex), 2);
        assert_eq!(*wait_timeout(&condition, lock(&mutex), Duration::ZERO), 2);
    }

    #[test]
    fn a_held_lock_is_waited_for_or_not() {
        let mutex = Mutex::new(1);
        let held = lock(&mutex);
        assert!(try_lock(&mutex).is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| *lock_soon(&mutex) += 1);
            let end = Instant::now() + 2 * PATIENCE;
            while Instant::now() < end {
                assert!(!waiting.is_finished());
            }
            drop(held);
        });
        assert_eq!(*lock_soon(&mutex), 2);
    }

    #[test]
    fn a_panic_of_the_writer_does_not_block_others() {
        let value = RwLock::new(1);
        let writer = catch_unwind(AssertUnwindSafe(|| {
            *value.write().unwrap() = 2;
            let _guard = value.write().unwrap();
            panic!("while the lock is held");
        }));
        assert!(writer.is_err() && value.is_poisoned());
        assert_eq!(*read(&value), 2);
        *write(&value) = 3;
        assert_eq!(*read(&value), 3);
    }
}

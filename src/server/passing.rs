//! Descriptors on their way to another process: SCM_RIGHTS, see unix(7).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// The most descriptors of a message. The kernel takes some more (SCM_MAX_FD).
pub const MOST: usize = 64;

/// Sends one message, with copies of descriptors. Never waits.
///
/// # Errors
///
/// As sendmsg(2): EAGAIN where the other side has many messages to read yet.
pub fn send(to: BorrowedFd<'_>, message: &[u8], fds: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(message)], rights, flags, None).map(drop)
}

/// Receives one message into `buffer`, with at most [`MOST`] descriptors; its length, 0 at the end. Never waits.
///
/// # Errors
///
/// As recvmsg(2): EAGAIN where there is none.
pub fn receive(from: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; MOST]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = control {
            // SAFETY: the kernel has just made these descriptors for us, and nobody else knows them.
            fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

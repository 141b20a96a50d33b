"""Pipes of the native driver: as in `pipes`, but read into the buffer that all streams share, and written without a temporary object."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer

from cede.drivers.contract cimport READ, Sink
from cede.drivers.epoll.waiter cimport EpollWaiter, os_error
from cede.drivers.selector.pipes cimport PipeStream
from cede.drivers.readiness cimport number_of
from cede.drivers.epoll.sys_epoll cimport (
    LONG_SEND, MOST_AT_ONCE, SCRATCH, c_read, c_write, errno_now, make_reserve, received, would_block
)


cdef EpollPipe new_pipe(EpollWaiter driver, object pipe, Sink sink, bint reading):
    cdef EpollPipe stream = EpollPipe(driver, pipe, sink, reading)
    stream.epoll = driver
    return stream


@cython.final
cdef class EpollPipe(PipeStream):
    """One end of a pipe, natively."""

    cdef int receive(self, Sink sink) except -1:
        cdef Py_ssize_t count
        if self.driver.kernel._announced_task is not None:
            self.driver.kernel.enter_callback()  # as EpollStream does
        if number_of(self.sock) != self.fd:
            return 0 if self.closed else self.driver.drop_stale(self)
        if not self.wanted & READ:
            return 0  # the file's `fileno` is user code, which may have paused the pipe
        if not make_reserve(&self.epoll.reserve):
            return sink.read_failed(MemoryError())
        count = c_read(self.fd, self.epoll.scratch, SCRATCH)
        if count >= 0:
            if count == SCRATCH:
                self.driver.acted = True  # there may be more data
            return self.tell(sink, received(&self.epoll.reserve, self.epoll.scratch, count))
        if would_block(errno_now):
            return 0
        return sink.read_failed(os_error(errno_now))

    cpdef Py_ssize_t write(self, object data, Py_ssize_t start) except -2:
        cdef Py_buffer view
        cdef Py_ssize_t count, size
        cdef const char *rest
        cdef int code
        self.check()
        self.driver.acted = True
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        if start < 0 or start > view.len:
            PyBuffer_Release(&view)
            raise ValueError(f"write(): start must be within the data, got {start}")
        rest = <const char *>view.buf + start
        size = min(view.len - start, MOST_AT_ONCE)
        if size >= LONG_SEND:
            with nogil:
                count = c_write(self.fd, rest, size)
                code = errno_now
        else:
            count = c_write(self.fd, rest, size)
            code = errno_now
        PyBuffer_Release(&view)
        if count >= 0:
            return count
        if would_block(code):
            return 0
        raise os_error(code)

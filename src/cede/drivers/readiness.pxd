cimport cython
from cede.core.native.call cimport PENDING
from cede.core.task.future cimport Future
from cede.core.task.handle cimport Handle
from cede.core.scheduler.task_kernel cimport TaskKernel
from cede.drivers.contract cimport READ, WRITE, Channel, Driver, Owned, Sink

cdef class ReadinessDriver(Driver):
    cdef readonly TaskKernel kernel
    cdef readonly dict channels
    cdef readonly int interests
    cdef readonly bint edges
    cdef unsigned int generations
    cdef unsigned int polls
    cdef readonly int writing
    cdef bytes numbers
    @cython.locals(owned=Owned)
    cdef int fire_timed(self, Channel channel, int events) except -1
    cdef int apply_interest(self, Channel channel) except -1
    cdef int on_added(self, Channel channel) except -1
    cdef int remove(self, Channel channel, bint known) except -1
    cdef int disarm(self, Channel channel, bint known) except -1
    cdef int mark(self, Channel channel, int mask) except -1
    cdef int since_before(self, Channel channel, int events) except -1
    cdef int tell_numbers(self) except -1
    @cython.locals(before=int)
    cdef int set_interest(self, Channel channel, int mask) except -1
    @cython.locals(before=int)
    cdef inline int count(self, Channel channel, int mask) except -1
    @cython.locals(mask=int)
    cdef int make_wanted(self, Channel channel, int before) except -1
    @cython.locals(fd=int, watch=Watch)
    cdef int add(self, Channel channel) except -1
    @cython.locals(fd=int, watch=Watch, owned=Owned, sink=Sink)
    cdef int drop_stale(self, Channel channel) except -1
    @cython.locals(watch=Watch)
    cdef Watch watch_number(self, int fd)
    @cython.locals(watch=Watch)
    cdef Watch watch_socket(self, object sock, int fd)
    @cython.locals(watch=Watch, future=Future)
    cdef Future park(self, object sock, int fd, int direction)
    @cython.locals(watch=Watch)
    cdef int unpark(self, int fd, Future future, int direction) except -1
    cdef int report(self, object error, str message) except -1
    @cython.locals(watch=Watch, channel=Channel)
    cdef int forget_all(self) except -1
    cdef bint refuse_transport(self, int fd) except -1
    @cython.locals(owned=Owned)
    cpdef object stream_owner(self, int fd)
    @cython.locals(watch=Watch)
    cpdef int add_reader(self, int fd, object handle) except -1
    @cython.locals(watch=Watch)
    cpdef bint remove_reader(self, int fd) except -1
    @cython.locals(watch=Watch)
    cpdef int add_writer(self, int fd, object handle) except -1
    @cython.locals(watch=Watch)
    cpdef bint remove_writer(self, int fd) except -1

cdef class Watch(Channel):
    cdef ReadinessDriver driver
    cdef object sock
    cdef Handle reader
    cdef Handle writer
    cdef list readers
    cdef list writers
    @cython.locals(reader=Handle, writer=Handle, driver=ReadinessDriver)
    cdef int fire(self, int events) except -1
    @cython.locals(mask=int)
    cdef int needs(self) except -1
    cdef int update(self) except -1
    @cython.locals(before=Handle)
    cdef int set_handle(self, int direction, Handle handle) except -1
    @cython.locals(before=Handle)
    cdef Handle swap_handle(self, int direction, Handle handle)
    @cython.locals(handle=Handle)
    cdef bint take_handle(self, int direction) except -1
    @cython.locals(handle=Handle)
    cdef int fail(self, object error) except -1
    cdef int use_levels(self) except -1
    cdef bint stale(self) except -1

@cython.locals(future=Future, told=list)
cdef int release(list waiting) except -1

cdef bint holds(object channel, int fd) except -1
cdef int number_of(object thing) except? -1

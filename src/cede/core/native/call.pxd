# Declarations of call.h; cede.core.pure.shims holds the same functions for uncompiled modules.

cdef extern from "call.h":
    object call_in "cede_call_in"(object context, object callback, tuple args)
    object call_method_in "cede_call_method_in"(object context, object owner, object name, object argument)
    object call_method_with_two_in "cede_call_method_with_two_in"(
        object context, object owner, object name, object first, object second)
    object failure_of "cede_failure_of"(object context, object callback, tuple args)
    object resume_plain "cede_resume_plain"(object context, object coroutine, int *outcome)
    object resume_step "cede_resume"(object context, object coroutine, object exception, int *outcome)
    object resume_step_with "cede_resume_with"(object context, object coroutine, object value, int *outcome)
    object drive_step "cede_drive"(object iterator, object exception, int *outcome)
    object send_to "cede_send_to"(object awaited, object value, int *outcome)
    bint only_in_tuple "cede_only_in_tuple"(object thing)
    bint nobody_else_holds "cede_nobody_else_holds"(object thing)
    bint defined_in_python "cede_defined_in_python"(object thing)
    object current_frame "cede_current_frame"()
    bint is_this_thread "cede_is_this_thread"(object number)
    double seconds_of "cede_seconds"(object number) except? -1.0
    double monotonic "cede_monotonic"() noexcept
    object copy_context "PyContext_CopyCurrent"()
    enum:
        PENDING "CEDE_PENDING"
        CANCELLED "CEDE_CANCELLED"
        FINISHED "CEDE_FINISHED"
        RETURNED "CEDE_RETURNED"
        YIELDED "CEDE_YIELDED"
        RAISED "CEDE_RAISED"

/* A literal address in the form in which the system writes it. The socket module's two calls, each with arguments to parse and a bytes object
   in between, cost more than the rest of a look-up. */

#ifndef CEDE_LITERAL_H
#define CEDE_LITERAL_H

#include <Python.h>
#include <arpa/inet.h>
#include <string.h>

#include "dotted.h"

/* A str, or None for what is no literal, or has a scope. `host` itself where it is written so already. */
static inline PyObject *
cede_canonical_literal(PyObject *host)
{
    char number[16], text[INET6_ADDRSTRLEN];
    if (!PyUnicode_CheckExact(host) || !PyUnicode_IS_ASCII(host))
        Py_RETURN_NONE;
    Py_ssize_t size = PyUnicode_GET_LENGTH(host);
    const char *given = (const char *)PyUnicode_1BYTE_DATA(host);
    if (size < 2 || size >= INET6_ADDRSTRLEN || memchr(given, 0, (size_t)size) != NULL)
        Py_RETURN_NONE;
    int family = memchr(given, ':', (size_t)size) != NULL ? AF_INET6 : AF_INET;
    if (inet_pton(family, given, number) != 1)
        Py_RETURN_NONE;
    if (family == AF_INET)
        cede_write_dotted(number, text);
    else if (inet_ntop(family, number, text, sizeof text) == NULL)
        Py_RETURN_NONE;
    if (strcmp(text, given) == 0)
        return Py_NewRef(host);
    return PyUnicode_FromString(text);
}

/* Hooks of sys.addaudithook hear of each look-up, as socket.getaddrinfo tells them. Costs nothing where there are none. */
static inline int
cede_audit_getaddrinfo(PyObject *host, PyObject *port, PyObject *family, PyObject *type, PyObject *proto)
{
    return PySys_Audit("socket.getaddrinfo", "OOOOO", host, port, family, type, proto);
}

#endif

/* An IPv4 address in text, by hand: inet_ntop() goes through sprintf(), which takes ten times as long. */

#ifndef CEDE_DOTTED_H
#define CEDE_DOTTED_H

#include <string.h>

/* Writes "a.b.c.d" and a NUL, for the four bytes at `address`, into at least 16 characters; how many without the NUL. */
static inline int
cede_write_dotted(const void *address, char *text)
{
    unsigned char bytes[4];
    char *end = text;
    memcpy(bytes, address, sizeof bytes);
    for (int i = 0; i < 4; i++) {
        unsigned int number = bytes[i];
        if (i > 0)
            *end++ = '.';
        if (number >= 100)
            *end++ = (char)('0' + number / 100);
        if (number >= 10)
            *end++ = (char)('0' + number / 10 % 10);
        *end++ = (char)('0' + number % 10);
    }
    *end = '\0';
    return (int)(end - text);
}

#endif

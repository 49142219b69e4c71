/* An external map in C: the words of each line that are longer than the parameter "least", by their first letter.
 *
 *     cc -O2 -o first_letters first_letters.c
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *why)
{
    fprintf(stderr, "**<ERR> %s\n", why);
    exit(1);
}

/* Shifts, not a cast: the bytes are little-endian, whatever this machine is. */
static int read_u32(uint32_t *number)
{
    unsigned char b[4];
    if (fread(b, 4, 1, stdin) != 1)
        return 0;
    *number = b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
    return 1;
}

static void write_u32(uint32_t number)
{
    unsigned char b[4] = {number, number >> 8, number >> 16, number >> 24};
    fwrite(b, 4, 1, stdout);
}

static void write_bytes(const char *bytes, uint32_t size)
{
    write_u32(size);
    fwrite(bytes, 1, size, stdout);
}

/* The next key or value, ended by a NUL; it is valid until the next call. */
static char *read_bytes(uint32_t *size)
{
    static char *buffer;
    if (!read_u32(size))
        return NULL;
    buffer = realloc(buffer, (size_t)*size + 1);
    if (!buffer || fread(buffer, 1, *size, stdin) != *size)
        die("the input ends within a pair");
    buffer[*size] = 0;
    return buffer;
}

/* "<bytes>\n" and so many bytes of "<length> <key> <length> <value>\n". */
static unsigned long read_parameter(const char *wanted, unsigned long otherwise)
{
    unsigned size, length, used = 0;
    int digits;
    if (scanf("%u", &size) != 1 || getchar() != '\n')
        die("no parameters");
    while (used < size) {
        char text[2][1024];
        for (int i = 0; i < 2; i++) {
            if (scanf("%u%n", &length, &digits) != 1 || length >= sizeof text[i])
                die("a parameter that is too long");
            getchar();
            if (fread(text[i], 1, length, stdin) != length)
                die("the input ends within the parameters");
            text[i][length] = 0;
            getchar();
            used += digits + 1 + length + 1;
        }
        if (!strcmp(text[0], wanted))
            otherwise = strtoul(text[1], NULL, 10);
    }
    return otherwise;
}

int main(void)
{
    unsigned long least = read_parameter("least", 1), lines = 0;
    uint32_t size;
    char *line;

    while (read_bytes(&size)) {  /* the key, empty for a line of text */
        uint32_t count = 0;
        if (!(line = read_bytes(&size)))
            die("a key without its value");
        char *copy = strdup(line);
        for (char *word = strtok(copy, " \t"); word; word = strtok(NULL, " \t"))
            count += strlen(word) >= least;
        write_u32(count);
        for (char *word = strtok(line, " \t"); word; word = strtok(NULL, " \t"))
            if (strlen(word) >= least) {
                write_bytes(word, 1);
                write_bytes(word, strlen(word));
            }
        free(copy);
        fflush(stdout);  /* a whole list, or it would be waited for */
        lines++;
    }
    fprintf(stderr, "**<MSG> %lu lines\n", lines);
    return 0;
}

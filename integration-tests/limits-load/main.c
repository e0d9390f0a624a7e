/* Load of the limits tests that no everyday program makes. It is C because mmap(2) is not safe, and static because it runs in roots that have nothing else.
 *   limits-load memory MIB                so much memory, every page of it written to: of pages that hold zeros the kernel may keep none (since Linux 6.12)
 *   limits-load huge PAGES [unreserved]   maps and touches one huge page of 2 MiB after the other
 * The exit code is 0, or 100 and the number of pages that it had when mmap(2) refused the next one; a page that cannot be had when it is touched is SIGBUS. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, HUGE_PAGE = 2 << 20, HUGE_2MB = 21 << MAP_HUGE_SHIFT, USAGE = 64 };

static int touch(int pages, size_t size, int flags)
{
    for (int had = 0; had < pages; had++) {
        char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
        if (page == MAP_FAILED)
            return 100 + had;
        for (size_t at = 0; at < size; at += PAGE)
            ((volatile char *)page)[at] = 1;
    }
    return 0;
}

int main(int count, char **words)
{
    if (count < 3)
        return USAGE;
    int number = atoi(words[2]);
    if (!strcmp(words[1], "memory"))
        return touch(1, (size_t)number << 20, 0);
    if (!strcmp(words[1], "huge"))
        return touch(number, HUGE_PAGE, MAP_HUGETLB | HUGE_2MB | (count > 3 ? MAP_NORESERVE : 0));
    return USAGE;
}

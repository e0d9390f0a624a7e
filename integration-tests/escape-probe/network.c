/* Networks, and sockets that reach past them. */
#include "probe.h"
#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static int raw(void)
{
    return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int packet(void)
{
    return outcome(socket(AF_PACKET, SOCK_RAW, 0));
}

static int hypervisor(void)
{
    return outcome(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int cryptography(void)
{
    return outcome(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

/* Names of unix sockets without a file belong to the network namespace. */
static int abstract_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = host("HOST_SOCKET");
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
    int end = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return outcome(connect(end, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))));
}

static int loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    address.sin_port = htons((uint16_t)atoi(host("HOST_PORT")));
    return outcome(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&address, sizeof address));
}

const struct probe network[] = {
    {"raw-socket", raw, ANYWHERE},
    {"af-packet", packet, ANYWHERE},
    {"af-vsock", hypervisor, ANYWHERE},
    {"af-alg", cryptography, ANYWHERE},
    {"host-abstract-socket", abstract_socket, ANYWHERE},
    {"host-loopback", loopback, ANYWHERE},
    {0},
};

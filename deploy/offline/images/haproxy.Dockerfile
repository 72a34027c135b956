ARG ROOTFS
FROM ${ROOTFS}
# As the official image: the configuration is mounted; SIGUSR1 is a soft stop.
USER haproxy
EXPOSE 5061
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]

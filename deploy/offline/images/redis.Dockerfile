ARG ROOTFS
FROM ${ROOTFS}
# As the official image: data in /data, the command may be given more options, never root.
RUN install -d -o redis -g redis /data
USER redis
WORKDIR /data
VOLUME /data
EXPOSE 6379
CMD ["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"]

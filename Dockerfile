# The image of the daemon and of its backup worker. Why it is made this way: docs/decisions/0009-one-image.md
#
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --tag kintsugi .
#
# Both base images can be others of the same kind: BASE_IMAGE any Debian with python3 and venv, PG_IMAGE any Debian with
# the programs of PG_MAJOR where Debian's packages put them. An index of your own for pip comes as a secret, of which
# nothing stays in the image: --secret id=pip,src=pip.conf
ARG BASE_IMAGE=python:3.12-slim-bookworm
ARG PG_MAJOR=16
ARG PG_IMAGE=postgres:${PG_MAJOR}-bookworm

# What the daemon imports, in a virtual environment that has no pip of its own. Only wheels: nothing is compiled.
FROM ${BASE_IMAGE} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY requirements.lock requirements-build.lock ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv tools \
    && python3 -m venv --without-pip /opt/kintsugi \
    && tools/bin/pip install --require-hashes --only-binary=:all: -r requirements-build.lock \
    && tools/bin/pip --python /opt/kintsugi/bin/python install --require-hashes --only-binary=:all: -r requirements.lock \
    && /opt/kintsugi/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/kintsugi/lib

# The daemon itself, its import of pages, its restores, the diagnosis and the objects of Kubernetes; the embedded cluster stays out. Rules and runbooks are in it,
# laid out to be put over its dependencies.
FROM dependencies AS package
COPY pyproject.toml README.md LICENSE ./
COPY daemon/kubeobjects daemon/kubeobjects
COPY daemon/kubediagnosis daemon/kubediagnosis
COPY daemon/kintsugi daemon/kintsugi
COPY daemon/kintsugi_import daemon/kintsugi_import
COPY daemon/kintsugi_restore daemon/kintsugi_restore
COPY rules rules
COPY runbooks runbooks
RUN tools/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir wheels ./daemon/kubeobjects ./daemon/kubediagnosis . ./daemon/kintsugi_import ./daemon/kintsugi_restore \
    && tools/bin/pip --python /opt/kintsugi/bin/python install --no-deps --no-index --prefix /package wheels/*.whl \
    && /opt/kintsugi/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /package/lib

# PostgreSQL's client programs, with every library that they are linked to.
FROM ${PG_IMAGE} AS postgres
ARG PG_MAJOR
RUN mkdir -p /client/bin /client/lib \
    && cd /usr/lib/postgresql/${PG_MAJOR}/bin \
    && cp pg_restore psql /client/bin/ \
    && ldd pg_restore psql | awk '$3 ~ /^\// {print $3}' | sort -u | xargs -I{} cp -L {} /client/lib/

# Of these libraries, those that the base does not have: it keeps its own C library, and its own fixes.
FROM ${BASE_IMAGE} AS client
COPY --from=postgres /client /client
RUN cd /client/lib \
    && for library in *; do if ldconfig -p | grep -qF "	$library ("; then rm "$library"; fi; done

FROM ${BASE_IMAGE}
ARG PG_MAJOR
COPY --from=client /client /usr/local
RUN ldconfig \
    && pg_restore --version | grep -F "(PostgreSQL) ${PG_MAJOR}." \
    && psql --version | grep -F "(PostgreSQL) ${PG_MAJOR}." \
    && echo 'kintsugi:x:65532:65532::/nonexistent:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'kintsugi:x:65532:' >>/etc/group \
    && install -d -o 65532 -g 65532 /var/lib/kintsugi
COPY --from=dependencies /opt/kintsugi /opt/kintsugi
ENV PATH=/opt/kintsugi/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /
EXPOSE 8080 8081
ENTRYPOINT ["kintsugi"]
CMD ["run"]
LABEL org.opencontainers.image.title="kintsugi" \
      org.opencontainers.image.description="A remediation daemon for Kubernetes: it runs the runbooks that people already have, and knows how to undo them." \
      org.opencontainers.image.licenses="Apache-2.0"
# What changes with every commit comes last: all above it stays in the cache, and on the nodes.
COPY --from=package /package /opt/kintsugi
ARG VERSION=0.1.0
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

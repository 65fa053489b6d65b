"""A CA of our own, and one that nobody trusts."""

import functools
import ssl

import trustme


@functools.cache
def authority(name: str) -> trustme.CA:
    return trustme.CA(organization_name=name)


@functools.cache
def server_context(host: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority("ours").issue_cert(host).configure_cert(context)
    return context


@functools.cache
def client_context(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority(name).configure_trust(context)
    return context

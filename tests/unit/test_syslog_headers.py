"""Headers of syslog as programs and devices of many makers write them: host, program, time and text of each, and no torn text."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from daqsched_executor.contract import Stream
from daqsched_executor.forward.documents.batch import BODY
from daqsched_executor.forward.forms import form_of
from daqsched_executor.forward.forms.received import row
from daqsched_executor.forward.journal.position import Position

#: 2026-11-23 05:06:02 UTC, and the address that all of it comes from.
SEEN, PEER = 1_795_410_362_000_000, "192.0.2.7"

STREAM = Stream("AAAAAAAAAAA", "syslog", "", 0, "", "syslog", "hlt01", format="syslog", dataset="daqsched.syslog")


@pytest.fixture(autouse=True, scope="module")
def utc() -> Iterator[None]:
    """Times without a zone are those of the machine."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def document(text: str) -> dict[str, Any]:
    """What becomes of one message."""
    made = form_of(STREAM, 0).encode(row(SEEN, PEER.encode(), text.encode()), Position(0, 0), SEEN, False, BODY)
    assert not made.documents.aside
    found: dict[str, Any] = json.loads(made.documents.body().splitlines()[1])
    return found


#: Sent; host, program and time of day (empty: those of the sender and of the arrival, ``syslog``), text.
HEADERS = {
    "RFC 3164": (
        "<34>Nov 23 01:02:03 mymachine su: 'su root' failed",
        "mymachine",
        "su",
        "01:02:03",
        "'su root' failed",
    ),
    "RFC 3164 with a pid": ("<13>Nov 23 01:02:03 hlt02 sshd[12]: a: b", "hlt02", "sshd", "01:02:03", "a: b"),
    "RFC 5424": ("<165>1 2026-11-23T01:02:03Z h app 7 ID - text", "h", "app", "01:02:03", "text"),
    "RFC 5424 without anything": ("<165>1 - - - - - -", "", "", "", ""),
    "RFC 5424 without a text": ("<165>1 2026-11-23T01:02:03Z h app - - -", "h", "app", "01:02:03", ""),
    "RFC 5424 without data": ("<165>1 - h app - - text, no data", "h", "app", "", "text, no data"),
    "RFC 5424, a word in brackets": ("<165>1 - h app - - [notice] text", "h", "app", "", "[notice] text"),
    "RFC 5424, data that never end": ('<165>1 - h app - - [a b="c text', "h", "app", "", '[a b="c text'),
    "rsyslog forward format": ("<30>2026-11-23T02:02:03.5+01:00 hlt01 cron[1]: x", "hlt01", "cron", "01:02:03", "x"),
    "one digit for the day": ("<30>Nov 3 01:02:03 hlt01 app: x", "hlt01", "app", "01:02:03", "x"),
    "a padded day": ("<30>Nov  3 01:02:03 hlt01 app: x", "hlt01", "app", "01:02:03", "x"),
    "no host, busybox and glibc": (
        "<30>Nov 23 01:02:03 sshd: error: no route",
        "",
        "sshd",
        "01:02:03",
        "error: no route",
    ),
    "no host, the kernel": ("<4>Nov 23 01:02:03 kernel: eth0: link down", "", "kernel", "01:02:03", "eth0: link down"),
    "no host, systemd": ("<30>Nov 23 01:02:03 systemd[1]: Started x.", "", "systemd", "01:02:03", "Started x."),
    "no host, docker": ("<30>Nov 23 01:02:03 docker/ab12[9]: x", "", "docker/ab12", "01:02:03", "x"),
    "no host, PAM": ("<38>Nov 23 01:02:03 su(pam_unix)[9]: opened", "", "su(pam_unix)", "01:02:03", "opened"),
    "no host, no tag": ("<13>Nov 23 01:02:03 nothing said by whom", "", "", "01:02:03", "nothing said by whom"),
    "no host, BSD repeats": (
        "<13>Nov 23 01:02:03 last message repeated 3 times",
        "",
        "",
        "01:02:03",
        "last message repeated 3 times",
    ),
    "no tag": (
        "<30>Nov 23 01:02:03 hlt01 kernel panic - not syncing",
        "hlt01",
        "",
        "01:02:03",
        "kernel panic - not syncing",
    ),
    "no tag, one digit": ("<30>Nov 3 01:02:03 hlt01 kernel panic", "hlt01", "", "01:02:03", "kernel panic"),
    "no tag, BSD repeats": (
        "<13>Nov 23 01:02:03 hlt01 last message repeated 3 times",
        "hlt01",
        "",
        "01:02:03",
        "last message repeated 3 times",
    ),
    "no tag, rsyslog's mark": ("<13>Nov 23 01:02:03 hlt01 -- MARK --", "hlt01", "", "01:02:03", "-- MARK --"),
    "no tag, a clock": ("<13>Nov 23 01:02:03 hlt01 05:06:02 ERROR x", "hlt01", "", "01:02:03", "05:06:02 ERROR x"),
    "a clock alone": ("<14>05:06:02 trigger rate 12:3", "", "", "", "05:06:02 trigger rate 12:3"),
    "a number alone": ("<14>45: text", "", "", "", "45: text"),
    "Python's SysLogHandler, JSON": ('<14>{"level":"info","n":3}\0', "", "", "", '{"level":"info","n":3}'),
    "JSON behind time and host": ('<14>Nov 23 01:02:03 hall {"level":"x"}', "hall", "", "01:02:03", '{"level":"x"}'),
    "JSON behind a time": ('<14>Nov 23 01:02:03 {"level":"x"}', "", "", "01:02:03", '{"level":"x"}'),
    "an address": ("<14>http://host/path failed", "", "", "", "http://host/path failed"),
    "C++": ("<14>std::runtime_error: what", "", "", "", "std::runtime_error: what"),
    "a Windows path": ("<14>C:\\path is full", "", "", "", "C:\\path is full"),
    "no priority, no header": ("text alone", "", "", "", "text alone"),
    "kernel's own stamp": ("<4>[12345.678] eth0: link down", "", "", "", "[12345.678] eth0: link down"),
    "a space behind the priority": ("<13> app: x", "", "app", "", "x"),
    "a tag and no space": ("<13>app:message", "", "app", "", "message"),
    "a tag with digits first": ("<13>Nov 23 01:02:03 hlt01 3proxy[12]: x", "hlt01", "3proxy", "01:02:03", "x"),
    "an address of IPv6": ("<13>Nov 23 01:02:03 2001:db8::1 app: x", "2001:db8::1", "app", "01:02:03", "x"),
    "AIX, forwarded": (
        "<38>Nov 23 01:02:03 Message forwarded from hlt01: sshd[12]: x",
        "hlt01",
        "sshd",
        "01:02:03",
        "x",
    ),
    "Solaris": (
        "<38>Nov 23 01:02:03 sun su: [ID 810491 auth.crit] failed",
        "sun",
        "su",
        "01:02:03",
        "[ID 810491 auth.crit] failed",
    ),
    "IOS, numbered": (
        "<189>45: Nov 23 01:02:03.5: %SYS-5-CONFIG_I: Configured",
        "",
        "%SYS-5-CONFIG_I",
        "01:02:03",
        "Configured",
    ),
    "IOS, with its name": (
        "<189>46: sw01: Nov 23 01:02:03.5: %SYS-5-CONFIG_I: Configured",
        "sw01",
        "%SYS-5-CONFIG_I",
        "01:02:03",
        "Configured",
    ),
    "IOS, an unsure clock": (
        "<189>47: *Nov 23 01:02:03.5 UTC: %LINK-3-UPDOWN: Gi0/1",
        "",
        "%LINK-3-UPDOWN",
        "01:02:03",
        "Gi0/1",
    ),
    "IOS, uptime": ("<189>48: 1w2d: %SYS-5-CONFIG_I: Configured", "", "%SYS-5-CONFIG_I", "", "Configured"),
    "IOS, uptime as a clock": ("<189>00:00:46: %SYS-5-CONFIG_I: Configured", "", "%SYS-5-CONFIG_I", "", "Configured"),
    "IOS, a number alone": ("<189>45: %SYS-5-CONFIG_I: Configured", "", "%SYS-5-CONFIG_I", "", "Configured"),
    "IOS by a relay": (
        "<189>Nov 23 01:02:05 10.1.1.1 45: Nov 23 01:02:03: %SYS-5-X: y",
        "10.1.1.1",
        "%SYS-5-X",
        "01:02:03",
        "y",
    ),
    "IOS-XR": (
        "<189>12: router1 RP/0/RSP0/CPU0:Nov 23 01:02:03.5 UTC: config[65]: %MGBL-SYS-5-X : y",
        "router1",
        "config",
        "01:02:03",
        "%MGBL-SYS-5-X : y",
    ),
    "NX-OS": (
        "<189>: 2026 Nov 23 01:02:03.5 UTC: %ETHPORT-5-IF_UP: Ethernet1/1",
        "",
        "%ETHPORT-5-IF_UP",
        "01:02:03",
        "Ethernet1/1",
    ),
    "ASA": ("<166>Nov 23 2026 01:02:03: %ASA-6-302013: Built", "", "%ASA-6-302013", "01:02:03", "Built"),
    "ASA, with its name": (
        "<166>Nov 23 2026 01:02:03 FW : %ASA-6-302013: Built",
        "FW",
        "%ASA-6-302013",
        "01:02:03",
        "Built",
    ),
    "ASA, EMBLEM": (
        "<166>:Nov 23 01:02:03 UTC: %ASA-session-6-302013: Built",
        "",
        "%ASA-session-6-302013",
        "01:02:03",
        "Built",
    ),
    "ASA, no time": ("<166>%ASA-6-302013: Built", "", "%ASA-6-302013", "", "Built"),
    "Junos": ("<30>Nov 23 01:02:03 router1 mgd[12]: UI_COMMIT: x", "router1", "mgd", "01:02:03", "UI_COMMIT: x"),
    "Aruba, the year behind": (
        "<142>Nov 23 01:02:03 2026 aruba01 stm[1]: <501100> x",
        "aruba01",
        "stm",
        "01:02:03",
        "<501100> x",
    ),
    "ProCurve": (
        "<14>Nov 23 01:02:03 10.1.1.1 00076 ports: port 1 is up",
        "10.1.1.1",
        "",
        "01:02:03",
        "00076 ports: port 1 is up",
    ),
    "F5": (
        "<134>Nov 23 01:02:03 bigip1 info tmm[1]: 01010028:5: x",
        "bigip1",
        "",
        "01:02:03",
        "info tmm[1]: 01010028:5: x",
    ),
    "ESXi": (
        "<166>2026-11-23T01:02:03.5Z esx Hostd: info hostd[2099] x",
        "esx",
        "Hostd",
        "01:02:03",
        "info hostd[2099] x",
    ),
    "Snare": (
        "<14>Nov 23 01:02:03 WIN MSWinEventLog\t1\tSecurity",
        "WIN",
        "",
        "01:02:03",
        "MSWinEventLog\t1\tSecurity",
    ),
    "NXLog": (
        "<14>Nov 23 01:02:03 WIN Microsoft-Windows-X[612]: An account",
        "WIN",
        "Microsoft-Windows-X",
        "01:02:03",
        "An account",
    ),
    "Eventlog to syslog": (
        "<29>Nov 23 01:02:03 WIN Service_Control_Manager: 7036: x",
        "WIN",
        "Service_Control_Manager",
        "01:02:03",
        "7036: x",
    ),
    "FortiGate": (
        '<189>date=2026-11-23 time=01:02:03 devname="x" y: z',
        "",
        "",
        "",
        'date=2026-11-23 time=01:02:03 devname="x" y: z',
    ),
    "MikroTik": (
        "<30>system,info,account user admin: logged in",
        "",
        "",
        "",
        "system,info,account user admin: logged in",
    ),
    "Meraki": ("<134>1 1563249630.774 MX84 events type=vpn", "", "", "", "1 1563249630.774 MX84 events type=vpn"),
    "NetApp": ("<13>Nov 23 01:02:03 [filer1:raid.rg:notice]: x", "", "", "01:02:03", "[filer1:raid.rg:notice]: x"),
    "PAN-OS": (
        "<14>Nov 23 01:02:03 PA-5050 1,2026/11/23 01:02:03,TRAFFIC",
        "PA-5050",
        "",
        "01:02:03",
        "1,2026/11/23 01:02:03,TRAFFIC",
    ),
    "a number that is no version": ("<14>1 2 3 4 5 6 7", "", "", "", "1 2 3 4 5 6 7"),
    "a day that is none": ("<13>Nov 31 01:02:03 hlt01 app: x", "hlt01", "app", "", "x"),
    "a colon alone": ("<13>:", "", "", "", ":"),
    "nothing": ("<13>", "", "", "", ""),
}


@pytest.mark.parametrize("which", HEADERS)
def test_a_header_is_read_and_the_text_is_whole(which: str) -> None:
    """What belongs to the header is told from what does not."""
    text, host, program, clock, message = HEADERS[which]
    found = document(text)
    assert (found["host"]["name"], found["service"]["name"]) == (host or PEER, program or "syslog")
    assert found["@timestamp"][11:19] == (clock or "05:06:02") and found["message"] == message
    assert (
        found["source"] == {"ip": PEER} and found["service"]["node"]["name"] == f"{program or 'syslog'}@{host or PEER}"
    )


def test_what_is_no_text_of_the_message_is_kept_beside_it() -> None:
    """The number that Cisco's devices count with, a process that is no number, a time that is none."""
    assert document("<189>45: %SYS-5-CONFIG_I: x")["event"]["sequence"] == 45
    assert document("<13>Nov 23 01:02:03 hlt01 app[²]: x")["log"]["syslog"]["procid"] == "²"
    assert document("<165>1 never h app main - - x")["message"] == "1 never h app main - - x"
    assert document("<13>Nov 31 01:02:03 hlt01 app: x")["daqsched"]["named_time"] == "Nov 31 01:02:03"
    assert document("<165>1 2026-13-23T01:02:03Z h app main - - x")["daqsched"]["named_time"] == "2026-13-23T01:02:03Z"


def test_more_structured_data_than_labels_are_kept_as_they_came() -> None:
    """The whole text of them, and a flag says so."""
    data = "".join(f'[ex@1 k{at}="v"]' for at in range(100))
    found = document(f"<165>1 - h app - - {data} x")
    assert len(found["labels"]) == 64 and found["message"] == "x"
    assert found["log"]["flags"] == ["truncated"] and found["event"]["original"] == f"{data} x"
    assert "original" not in document('<165>1 - h app - - [ex@1 k="v"] x')["event"]

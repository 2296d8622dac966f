//! Which addresses a plugin may be connected to. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// How far an address may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// By every plugin that is granted the host.
    Public,
    /// Only with the grant `private`; the text says what kind of address it is.
    Private(&'static str),
    /// By none: it hands out the machine's own credentials.
    Never(&'static str),
}

/// An address that a plugin may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// What kind of address it is.
    pub kind: &'static str,
    /// Whether the grant `private` would let it through.
    pub grantable: bool,
}

/// Whether an address may be reached, given whether the plugin has the grant `private`.
pub fn admit(address: IpAddr, allow_private: bool) -> Result<(), RefusedAddress> {
    match reach(address) {
        Reach::Public => Ok(()),
        Reach::Private(_) if allow_private => Ok(()),
        Reach::Private(kind) => Err(RefusedAddress { address, kind, grantable: true }),
        Reach::Never(kind) => Err(RefusedAddress { address, kind, grantable: false }),
    }
}

/// Whether a URL names this machine, by a loopback address or as `localhost`.
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// How far an address may be reached.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

const METADATA: &str = "a cloud metadata address";

fn reach_v4(address: Ipv4Addr) -> Reach {
    let octets @ [a, b, c, _] = address.octets();
    match octets {
        // EC2, GCE, Azure, OpenStack and others; ECS and EKS credentials; Scaleway; Tencent; Alibaba;
        // Azure's wire server; Oracle.
        [169, 254, 169, 254]
        | [169, 254, 170, 2]
        | [169, 254, 170, 23]
        | [169, 254, 42, 42]
        | [169, 254, 0, 23]
        | [100, 100, 100, 200]
        | [168, 63, 129, 16]
        | [192, 0, 0, 192] => return Reach::Never(METADATA),
        _ => {}
    }
    let kind = match (a, b, c) {
        (0, ..) => "an unspecified address",
        (10, ..) | (192, 168, _) => "a private address",
        (172, 16..=31, _) => "a private address",
        (100, 64..=127, _) => "a carrier-grade NAT address",
        (127, ..) => "a loopback address",
        (169, 254, _) => "a link-local address",
        (192, 0, 0) | (192, 88, 99) => "a protocol-assigned address",
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => "a documentation address",
        (198, 18..=19, _) => "a benchmarking address",
        (224..=239, ..) => "a multicast address",
        (240..=255, ..) => "a reserved or broadcast address",
        _ => return Reach::Public,
    };
    Reach::Private(kind)
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    // EC2's metadata and EKS credentials, GCE's metadata, Oracle's, Scaleway's.
    if matches!(
        segments,
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254 | 0x0023]
            | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254]
            | [0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
            | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]
    ) {
        return Reach::Never(METADATA);
    }
    // A v4 address in disguise is never better than itself.
    if embedded_v4(segments).into_iter().flatten().any(|v4| matches!(reach_v4(v4), Reach::Never(_)))
    {
        return Reach::Never("a cloud metadata address inside an IPv6 address");
    }
    let kind = match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        [0, 0, 0, 0, 0, 0xffff, ..] => "an IPv4-mapped address",
        [0, 0, 0, 0, 0, 0, ..] => "an IPv4-compatible address",
        [0, 0, 0, 0, 0xffff, 0, ..] => "an IPv4-translated address",
        [0x0064, 0xff9b, ..] => "a NAT64 address",
        [0x0100, 0, 0, 0, ..] => "a discard-only address",
        [0x2001, 0, ..] => "a Teredo address",
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => "a documentation address",
        // 2001::/23, the protocol assignments.
        [0x2001, 0..=0x01ff, ..] => "a protocol-assigned address",
        [0x2002, ..] => "a 6to4 address",
        [0xfc00..=0xfdff, ..] => "a private address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a site-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        [.., 0x0000 | 0x0200, 0x5efe, _, _] => "an ISATAP address",
        // Global unicast.
        [0x2000..=0x3fff, ..] => return Reach::Public,
        _ => "a reserved address",
    };
    Reach::Private(kind)
}

/// The v4 addresses that a v6 address may stand for, whatever its prefix says it is.
fn embedded_v4(segments: [u16; 8]) -> [Option<Ipv4Addr>; 4] {
    let at = |i: usize| {
        let [a, b] = segments[i].to_be_bytes();
        let [c, d] = segments[i + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    let low = at(6);
    match segments {
        [0x2002, ..] => [Some(at(1)), None, None, None],
        // Teredo: the server in the clear, the client with its bits turned over.
        [0x2001, 0, ..] => [Some(at(2)), Some(Ipv4Addr::from_bits(!low.to_bits())), None, None],
        // NAT64 for local use may put the address into the middle (RFC 6052), round the zero octet.
        [0x0064, 0xff9b, 1, ..] => {
            let [_, b] = segments[4].to_be_bytes();
            let [c, _] = segments[5].to_be_bytes();
            let [first, second] = segments[3].to_be_bytes();
            [Some(low), Some(Ipv4Addr::new(first, second, b, c)), None, None]
        }
        [0, 0, 0, 0, ..] | [0x0064, 0xff9b, ..] | [.., 0x0000 | 0x0200, 0x5efe, _, _] => {
            [Some(low), None, None, None]
        }
        _ => [None; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Reach {
        reach(text.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_reached() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.1.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::200e",
            "2001:4860:4860::8888",
            "2003::1",
        ] {
            assert_eq!(kind(text), Reach::Public, "{text}");
        }
    }

    #[test]
    fn everything_else_needs_allow_private() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:1::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "2606:4700::5efe:7f00:1",
            "2606:4700::200:5efe:10.0.0.1",
        ] {
            assert!(matches!(kind(text), Reach::Private(_)), "{text}: {:?}", kind(text));
            let address = text.parse().unwrap();
            assert!(admit(address, false).unwrap_err().grantable, "{text}");
            assert_eq!(admit(address, true), Ok(()), "{text}");
        }
    }

    #[test]
    fn metadata_addresses_are_never_reached_however_they_are_written() {
        for text in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:42::42",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:102:304::5601:5601",
            "fe80::5efe:169.254.169.254",
            "2606:4700::5efe:169.254.169.254",
        ] {
            assert!(matches!(kind(text), Reach::Never(_)), "{text}: {:?}", kind(text));
            assert!(!admit(text.parse().unwrap(), true).unwrap_err().grantable, "{text}");
        }
    }
}

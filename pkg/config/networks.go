package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// Networks is a list of addresses and networks, separated by commas: 10.0.0.7,192.168.0.0/16,fd00::/8.
type Networks []netip.Prefix

func parseNetworks(text string) (Networks, error) {
	var networks Networks
	for i, part := range strings.Split(text, ",") {
		part = strings.TrimSpace(part)
		network, err := netip.ParsePrefix(part)
		if err != nil {
			var address netip.Addr
			if address, err = netip.ParseAddr(part); err == nil {
				network, err = address.WithZone("").Prefix(address.BitLen())
			}
		}
		if err != nil {
			return nil, fmt.Errorf("item %d is no address and no network", i+1)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

#!/bin/bash
# What an image of a machine can have before it is a machine: packages, and daqsched in /opt/daqsched. As root.
# shellcheck source=vagrant/provision/common.sh
. "$(dirname "$0")/common.sh"
packages
daqsched
finish

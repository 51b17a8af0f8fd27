"""The cluster in machines: what `vagrant up` needs before it can begin, and what must go when it is over.

Vagrant itself starts, provisions and destroys the machines (`vagrant/Vagrantfile`). Here is the rest: what is installed in them
(`parts`), their secrets, their image, the container engine and the network of the docker provider, and `setting`, which the
Vagrantfile reads.
"""

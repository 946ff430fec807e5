// Package allocdir makes, opens up to readers, and removes the directories of
// allocations:
//
//	<alloc>/            0711
//	  alloc/            shared by the tasks: data/ logs/ tmp/
//	  <task>/           local/ secrets/ private/ tmp/
//
// secrets and private are memory file systems of their own when the agent may
// mount. Drivers of others compute these paths themselves, so the layout is
// part of the plugin contract.
//
// Nothing here follows a symbolic link out of an allocation's directory, and
// nothing is removed while something is still mounted inside.
package allocdir

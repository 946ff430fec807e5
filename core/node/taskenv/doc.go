// Package taskenv is the environment of a task and the expansion of ${…} in a
// job file on the node.
//
// Two ways of expansion exist. Replace substitutes the names it knows in a
// text and leaves the rest alone: for env and meta values, names of services
// and the like. Variables are for the driver's config block, which is
// evaluated as HCL, where an unknown name is an error.
package taskenv

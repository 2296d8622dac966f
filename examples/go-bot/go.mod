// The bindings are made for this module name; it goes nowhere else.
module wit_component

go 1.25

require go.bytecodealliance.org/pkg v0.4.0

// What the bindings need at run time, without what asynchronous interfaces would need.
replace go.bytecodealliance.org/pkg => ./third_party/go-pkg

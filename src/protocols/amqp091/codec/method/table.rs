//! The macro behind the tables of methods: from the order of fields to structs that read and write.

/// Defines a class: `CLASS_ID`, one struct per method, and an enum of them.
///
/// A line of the table is `id "name" sender Struct { fields; bits flags; more fields }`.
macro_rules! methods {
    (
        $(#[$class_doc:meta])*
        class $class_id:literal $class_name:literal $class:ident $(<$class_life:lifetime>)?;
        $(
            $(#[$doc:meta])*
            $id:literal $name:literal $sender:ident $method:ident $(<$life:lifetime>)? {
                $($field:ident : $type:ty),*
                $(; bits $($bit:ident),+ $(; $($more:ident : $more_type:ty),+)?)?
            }
        )*
    ) => {
        /// Class id on the wire.
        pub const CLASS_ID: u16 = $class_id;

        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $method $(<$life>)? {
                $(pub $field: $type,)*
                $($(pub $bit: bool,)+ $($(pub $more: $more_type,)+)?)?
            }

            impl<'a> $method $(<$life>)? {
                /// Reads the arguments, which follow the two ids.
                ///
                /// # Errors
                /// 502 when they are malformed.
                #[allow(unused_variables, reason = "some methods have no arguments")]
                pub fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
                    $(let $field = Argument::read(reader, stringify!($field))?;)*
                    $(
                        let mut bits = Bits::of(reader.u8("flags")?);
                        $(let $bit = bits.take();)+
                        $($(let $more = Argument::read(reader, stringify!($more))?;)+)?
                    )?
                    Ok(Self { $($field,)* $($($bit,)+ $($($more,)+)?)? })
                }
            }

            impl<'a> MethodFrame for $method $(<$life>)? {
                fn class_id(&self) -> u16 {
                    CLASS_ID
                }
                fn method_id(&self) -> u16 {
                    $id
                }
                fn name(&self) -> &'static str {
                    concat!($class_name, ".", $name)
                }
                fn sender(&self) -> Sender {
                    Sender::$sender
                }
                fn arguments_len(&self) -> usize {
                    let len = 0;
                    $(let len = len + self.$field.wire_len();)*
                    $(
                        $(let _ = self.$bit;)+
                        let len = len + 1;
                        $($(let len = len + self.$more.wire_len();)+)?
                    )?
                    len
                }
                #[allow(unused_variables, reason = "some methods have no arguments")]
                fn write_arguments(&self, out: &mut impl BufMut) {
                    $(self.$field.write(out);)*
                    $(
                        let mut bits = Bits::default();
                        $(bits.push(self.$bit);)+
                        out.put_u8(bits.octet());
                        $($(self.$more.write(out);)+)?
                    )?
                }
            }
        )*

        $(#[$class_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $class $(<$class_life>)? {
            $($(#[$doc])* $method($method $(<$life>)?),)*
        }

        impl<'a> $class $(<$class_life>)? {
            /// Reads the arguments of the method with this id.
            ///
            /// # Errors
            /// 503 for an id that the class does not have, 502 for malformed arguments.
            pub fn read(method: u16, reader: &mut Reader<'a>) -> Result<Self, CodecError> {
                match method {
                    $($id => $method::read(reader).map(Self::$method),)*
                    _ => Err(CodecError::UnknownMethod { class: CLASS_ID, method }),
                }
            }
        }

        impl<'a> MethodFrame for $class $(<$class_life>)? {
            fn class_id(&self) -> u16 {
                CLASS_ID
            }
            fn method_id(&self) -> u16 {
                match self { $(Self::$method(method) => method.method_id(),)* }
            }
            fn name(&self) -> &'static str {
                match self { $(Self::$method(method) => method.name(),)* }
            }
            fn sender(&self) -> Sender {
                match self { $(Self::$method(method) => method.sender(),)* }
            }
            fn arguments_len(&self) -> usize {
                match self { $(Self::$method(method) => method.arguments_len(),)* }
            }
            fn write_arguments(&self, out: &mut impl BufMut) {
                match self { $(Self::$method(method) => method.write_arguments(out),)* }
            }
        }
    };
}

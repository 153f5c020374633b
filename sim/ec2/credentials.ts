// The key that callers use unless they are to be told apart. Any other is as good: signatures are not verified.

export const simulatedCredentials = { accessKeyId: 'AKIASIMULATED0000000', secretAccessKey: 'simulated' }

# The CUDA backend, or what is built in its place: objects of their own, so that everything else is compiled the same way
# with and without it.
set(cuda_kernels activation arithmetic conv2d conv2d_depthwise conv2d_ending dense dropout implicit_gemm layout loss norm
                 optimizer pool2d reduce resize)
list(TRANSFORM cuda_kernels REPLACE "(.+)" "cpp/cuda/\\1.cu")
set(cuda_host backend cublas cudnn cudnn_api cudnn_graph error library memory program)
list(TRANSFORM cuda_host REPLACE "(.+)" "cpp/cuda/\\1.cpp")

if(CNNFAST_CUDA STREQUAL "EMULATED")
  # Kernels as plain C++, run on the host: for tests of their logic where there is no GPU.
  set(emulation errors execution fibers runtime)
  list(TRANSFORM emulation REPLACE "(.+)" "cpp/tests/emulated_cuda/\\1.cpp")
  add_library(cnnfast_cuda OBJECT ${cuda_kernels} ${cuda_host} ${emulation})
  set_source_files_properties(${cuda_kernels} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-Wno-unknown-pragmas")
  target_include_directories(cnnfast_cuda PRIVATE cpp/tests/emulated_cuda)
elseif(CNNFAST_CUDA)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES OFF)  # these flags name them: A100, H100 and H200, and PTX for what is newer
    set(cuda_targets -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_90a,code=sm_90a
                     -gencode=arch=compute_80,code=compute_80)
  endif()
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
  enable_language(CUDA)
  add_library(cnnfast_cuda OBJECT ${cuda_kernels} ${cuda_host})
  set_source_files_properties(${cuda_kernels} PROPERTIES COMPILE_OPTIONS
                              "${cuda_targets};--expt-relaxed-constexpr;-Xcompiler=-Wall,-Wextra")
  target_include_directories(cnnfast_cuda PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  # The runtime is part of the module and looks for the driver when it is first called: nothing of CUDA is needed to
  # import it.
  find_library(CNNFAST_CUDART cudart_static HINTS ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES} REQUIRED)
  target_link_libraries(cnnfast_cuda PUBLIC ${CNNFAST_CUDART} ${CMAKE_DL_LIBS} rt)
else()
  add_library(cnnfast_cuda OBJECT cpp/runtime/no_cuda.cpp)
endif()
target_include_directories(cnnfast_cuda PRIVATE cpp/include)
target_compile_options(cnnfast_cuda PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
